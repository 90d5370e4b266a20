"""States that nobody wrote: those that pass for sound let no kernel read or write beyond its own.

Kernels check no bounds when they are compiled; interpreted they raise `IndexError`.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import suppress
from typing import Final

import numpy as np
import pytest

from micromoment.events.vocabulary import EventType
from micromoment.features.session import describe_session, fold_batch
from micromoment.features.state import FAMILIES, STATE, is_sound, new_state
from tests.support.events import SECOND, START_US, an_event, to_batch
from tests.support.folding import EXPIRY_US, NOBODY, SKEW_US, fold, random_tables

SEED: Final = 7
CAPS: Final = {
    name: cap for family in FAMILIES for name, cap in getattr(family, "STATE_CAPS", {}).items()
}


def damaged(state: bytes, pick: random.Random) -> bytes:
    """Overwrite some bytes, or all of them."""
    if pick.random() < 0.5:
        return pick.randbytes(len(state))
    bad = bytearray(state)
    for _ in range(pick.randint(1, 60)):
        bad[pick.randrange(len(bad))] = pick.choice([0, 0x7F, 0x80, 0xFF])
    return bytes(bad)


def made_sound(state: bytes, pick: random.Random) -> bytes:
    """Let what is beyond a cap be the cap, or 0."""
    record = np.frombuffer(bytearray(state), STATE)
    for name, cap in CAPS.items():
        values = record[name]
        values[(values < 0) | (values > cap)] = pick.choice([0, cap])
    return record.tobytes()


def run(rounds: int) -> int:
    """Fold into damaged states that pass for sound and describe them; give how many there were."""
    pick = random.Random(SEED)
    events = [
        an_event(event_id=f"e{n}", event_time=START_US + n * SECOND, type=kind, page_id=f"/{n}")
        for n, kind in enumerate(EventType)
    ]
    state = fold(events[:20]).tobytes()
    batch = to_batch(events)
    tables = random_tables()
    sound = 0
    for _ in range(rounds):
        bad = made_sound(damaged(state, pick), pick)
        assert is_sound(bad)
        sound += 1
        record = np.frombuffer(bytearray(bad), STATE)
        # What a number cannot be is another matter: a NaN, a logarithm of a negative share.
        with suppress(ValueError, ZeroDivisionError, OverflowError), np.errstate(all="ignore"):
            describe_session(record, int(record[0]["last_time"]), tables)
        with suppress(ValueError, ZeroDivisionError, OverflowError), np.errstate(all="ignore"):
            fold_batch(record, batch, NOBODY, EXPIRY_US, SKEW_US)
        with suppress(ValueError, ZeroDivisionError, OverflowError), np.errstate(all="ignore"):
            describe_session(record, int(record[0]["last_time"]), tables)
    return sound


def test_a_state_that_passes_for_sound_harms_nobody() -> None:
    """In a process of its own, which such a state could kill, and uncompiled, which would raise."""
    compiled = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
    rounds = 2_000 if compiled else 15
    program = f"from tests.property.test_damaged_state import run; print(run({rounds}))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) == rounds


@pytest.mark.parametrize("name", CAPS)
def test_a_field_beyond_its_cap_is_not_sound(name: str) -> None:
    """One more than the cap is not, where the type can say it, nor is -1."""
    state = new_state()
    values = state[name].reshape(-1)
    most = np.iinfo(values.dtype)
    for value in {CAPS[name] + 1, -1}:
        if most.min <= value <= most.max:
            values[-1] = value
            assert not is_sound(state.tobytes())
            values[-1] = CAPS[name]
            assert is_sound(state.tobytes())


def test_sound_states_are_those_of_visits() -> None:
    """A new state is one, and one after many events; one that lacks a byte is not."""
    state = fold([an_event(event_id=f"e{n}", page_id=f"/{n}") for n in range(300)]).tobytes()
    assert is_sound(state)
    assert is_sound(new_state().tobytes())
    assert not is_sound(state[:-1])

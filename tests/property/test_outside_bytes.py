"""What else a server reads that somebody else wrote: the log's rows, keys, settings, kept sessions.

Each is taken or refused by the error that its reader promises, whatever is in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.recovery import recover_sessions
from micromoment.settings import PREFIX, Settings, load_settings
from micromoment.stores.id_keys import load_id_keys
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.stores.log_segments import LogLimits, SegmentWriter
from micromoment.stores.session_file import load_sessions, save_sessions
from micromoment.stores.sessions import MemorySessionStore
from micromoment.v1 import events_pb2
from micromoment.v1 import log_pb2 as pb
from tests.support.fuzzed import Fuzz
from tests.support.log_rows import START_S, a_visit, as_rows
from tests.support.shared_sessions import key_of

SEED = 11
ROWS = 600
TTL_S = 3_600.0
# Each once ended a server that started on a log with such a row.
FOUND: dict[str, dict[str, Any]] = {
    "no zone": {"time_zone": "../etc"},
    "no currency": {"currency": "\x00"},
    "no status": {"user": pb.LoggedUser(status=3)},
    "a standing that is too long": {"standing": [1] * 6},
    "a standing beyond its type": {"standing": [1, 256, 1, 1, 1]},
}


def recovered(folder: Path, visits: list[LoggedVisit]) -> MemorySessionStore:
    """Write rows to a log and start from it, as a server does."""
    writer = SegmentWriter(folder, "commit", LogLimits(1 << 24, 1e12, 1 << 30))
    writer.write(as_rows(visits))
    writer.close()
    sessions = MemorySessionStore(1_000, TTL_S, clock=lambda: START_S)
    recover_sessions(folder, sessions, ttl_s=TTL_S, most=1_000, now=START_S)
    return sessions


@pytest.mark.parametrize("fields", FOUND.values(), ids=FOUND)
def test_a_row_that_no_server_logged_loses_its_session_alone(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    """The session is lost and the others come back."""
    sessions = recovered(
        tmp_path,
        [
            a_visit(1, "good", "e1", kind=RowKind.BEGAN),
            a_visit(2, "bad", "e1", kind=RowKind.BEGAN),
            a_visit(3, "bad", "e2", **fields),
        ],
    )
    assert sessions.get(key_of("good")) is not None
    assert sessions.get(key_of("bad")) is None
    assert sessions.was_evicted(key_of("bad"))


def damaged_rows(fuzz: Fuzz, pick: random.Random) -> Iterator[LoggedVisit]:
    """Make calls with odd fields, and some whose bytes are broken."""
    for number in range(ROWS):
        event = cast(events_pb2.Event, fuzz.message(events_pb2.Event.DESCRIPTOR))
        visit = a_visit(
            number + 1,
            f"s{number % 50}",
            f"e{number}",
            kind=pick.choice([RowKind.BEGAN, RowKind.WENT_ON]),
            events=[event] if pick.random() < 0.3 else (),
            user=pb.LoggedUser(
                status=pick.choice([0, 1, 2, 3, -1]), snapshot=[pick.getrandbits(62)] * 40
            ),
            standing=[pick.choice([0, 1, 255, 256])] * pick.choice([0, 4, 5]),
            session_expiry_us=pick.choice([1_800_000_000, 0, -1, 2**63 - 1]),
            time_zone=pick.choice(["Europe/Berlin", "", "Nowhere"]),
        )
        yield visit if pick.random() < 0.5 else replace(visit, body=fuzz.broken(visit.body))


def test_a_server_starts_on_a_log_with_damaged_rows(tmp_path: Path) -> None:
    """Hundreds of them end no start, and a session without any comes back."""
    pick = random.Random(SEED)
    rows = list(damaged_rows(Fuzz(SEED), pick))
    whole = a_visit(len(rows) + 1, "whole", "e1", kind=RowKind.BEGAN)
    sessions = recovered(tmp_path, [*rows, whole])
    assert sessions.get(key_of("whole")) is not None
    assert len(sessions) > 1


def refusal(read: Callable[[], object]) -> str:
    """Give what reading is refused with, empty where it is not; any other error is raised."""
    try:
        read()
    except InvalidSettingError as error:
        return str(error)
    return ""


@given(st.binary(max_size=200))
@example(b"k:" + b"x" * 16 + b"\xff")
@example(b"k:" + b"x" * 16 + b"\nk:" + b"y" * 16)
def test_any_file_of_keys_is_read_or_refused(content: bytes) -> None:
    """Whatever the file holds, the error is one of settings and holds no part of it."""
    path = Path("/dev/shm") / f"keys-{id(content)}"  # noqa: S108 - gone a moment later
    path.write_bytes(content)
    try:
        assert "xxxx" not in refusal(lambda: load_id_keys(path))
    finally:
        path.unlink()


@given(st.sampled_from(sorted(Settings.model_fields)), st.text(max_size=40))
@example("session_store", "redis://[::1")
@example("abstain_within", "0.1:0.2:0.3")
@example("port", "9" * 5_000)
@example("session_ttl", "1e999")
def test_any_value_of_any_setting_is_taken_or_refused(name: str, value: str) -> None:
    """A bad value ends as `InvalidSettingError`, which names the setting."""
    with pytest.MonkeyPatch.context() as patch:
        for known in Settings.model_fields:
            patch.delenv(PREFIX + known.upper(), raising=False)
        with suppress(UnicodeEncodeError, ValueError):
            patch.setenv(PREFIX + name.upper(), value)
        refused = refusal(load_settings)
    assert not refused or name in refused


def test_any_damage_to_kept_sessions_is_noticed(tmp_path: Path) -> None:
    """A file that is cut, longer, or has a bit flipped anywhere is refused as a whole."""
    path = tmp_path / "sessions"
    store = MemorySessionStore(10, TTL_S, clock=lambda: START_S)
    log = [a_visit(1, "s1", "e1", kind=RowKind.BEGAN)]
    entry = recovered(tmp_path / "log", log).get(key_of("s1"))
    assert entry is not None
    store.put(key_of("s1"), entry)
    save_sessions(store, path)
    good, pick = path.read_bytes(), random.Random(SEED)
    for _ in range(200):
        bad = bytearray(good)
        place = pick.randrange(len(good))
        how = pick.randrange(3)
        if how == 0:
            del bad[place:]
        elif how == 1:
            bad[place] ^= 1 << pick.randrange(8)
        else:
            bad[place:place] = pick.randbytes(pick.randint(1, 9))
        path.write_bytes(bad)
        empty = MemorySessionStore(10, TTL_S, clock=lambda: START_S)
        with pytest.raises(InvalidDataError):
            load_sessions(empty, path)
        assert len(empty) == 0

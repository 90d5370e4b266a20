"""Compiles the reducer as serving calls it: `python -m micromoment.compile`.

For building an image: machine code goes to the folder `NUMBA_CACHE_DIR`, and a server that finds it
there compiles nothing. `NUMBA_CPU_NAME=generic` makes code that every machine of the kind can run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numba import config
from numba.core import event

from micromoment.events.limits import FIRST_SECOND
from micromoment.events.proto_codec import events_from_proto
from micromoment.events.record import EventBatch
from micromoment.events.shop import Shop
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.points import END_EVENT, PointFolder
from micromoment.features.session import describe_session, fold_batch, takes_up_user
from micromoment.features.state import new_state
from micromoment.features.tables import neutral_tables
from micromoment.features.user_snapshot import UserStatus, no_lookup
from micromoment.scoring.answers import N_ANSWERED, answer_points
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.judging import N_COUNTS, N_NUMBERS, Rules, judge_points
from micromoment.scoring.rules import NO_SPACE
from micromoment.scoring.sessions import SessionEntry
from micromoment.v1 import events_pb2

_MINUTE_US = 60_000_000


@contextmanager
def compilations() -> Iterator[list[str]]:
    """List the functions, by name, that are compiled in this block rather than read from disk."""
    names: list[str] = []

    class Listener(event.Listener):
        def on_start(self, event: event.Event) -> None:
            names.append(event.data["dispatcher"].__qualname__)

        def on_end(self, event: event.Event) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield names


def compile_reducer() -> list[str]:
    """Run all kernels once with arguments of serving's types; names what was compiled."""
    message = events_pb2.Event(event_id="e1", type=events_pb2.EVENT_TYPE_PAGE_VIEW)
    message.event_time.FromSeconds(FIRST_SECOND)
    batch = events_from_proto([message], 0, 0, _MINUTE_US, Shop())
    states = new_state()
    with compilations() as compiled:
        takes_up_user(SessionEntry.of(states, "").state, batch, _MINUTE_US)
        fold_batch(states, batch, no_lookup(UserStatus.UNKNOWN), _MINUTE_US, _MINUTE_US)
        describe_session(states, _MINUTE_US, neutral_tables())
        _score(batch)
    return compiled


def _score(batch: EventBatch) -> None:
    folder = PointFolder(
        1,
        neutral_tables(),
        np.arange(len(FEATURE_NAMES)),
        expiry_us=_MINUTE_US,
        skew_us=_MINUTE_US,
    )
    folder.asked[0, END_EVENT] = 1
    folder.run(1, batch.events, batch.items)
    numbers, counts = np.zeros((1, N_NUMBERS)), np.zeros((1, N_COUNTS), np.int64)
    rules = Rules(
        calibration=np.ones(4),
        churn=np.ones(2),
        churn_eligible=np.zeros(1, np.int64),
        space=NO_SPACE,
        lifecycle_places=np.arange(7),
        lifecycle_limits=np.ones(3),
        steps=np.empty((0, 2), np.int64),
        constants=np.empty(0),
    )
    nothing = np.zeros(1)
    judge_points(1, folder.rows, nothing, nothing, folder.known, rules, numbers, counts)
    answers = np.zeros((1, N_ANSWERED), np.int64)
    answer_points(1, folder.states, folder.asked, folder.told, counts, _MINUTE_US, answers)
    PlattCalibrator(1.0, 0.0).probability(0.0)


def main() -> int:
    """Compile what is not on disk yet and say how much that was."""
    compiled = compile_reducer()
    folder = config.CACHE_DIR  # type: ignore[attr-defined] # set when Numba starts
    sys.stdout.write(f"compiled {len(compiled)} functions into {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

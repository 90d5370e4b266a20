"""The reducer, in as few words as a test needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.events.hashing import hash_id
from micromoment.events.record import EventBatch, RecordArray
from micromoment.features.catalogue import FEATURE_NAMES, FEATURES
from micromoment.features.families import user
from micromoment.features.replay import replay_sessions
from micromoment.features.session import describe_session, fold_batch
from micromoment.features.state import new_state
from micromoment.features.tables import POPULARITIES, Tables, neutral_tables
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserLookup, UserStatus, no_lookup
from tests.support.events import DAY, MINUTE, START_US, AnEvent, to_batch

EXPIRY_US: Final = 30 * MINUTE
SKEW_US: Final = 5 * MINUTE
NOBODY: Final = no_lookup(UserStatus.UNKNOWN)
NEUTRAL: Final = neutral_tables()


def a_lookup(**columns: int) -> UserLookup:
    """Make the answer for a visitor with a snapshot row."""
    row = np.zeros(1, USER_SNAPSHOT)
    for name, value in columns.items():
        row[0][name] = value
    return UserLookup(UserStatus.FOUND, row)


def random_tables(folds: int = 1, seed: int = 7) -> Tables:
    """Make tables that say something different about every transition, product and category.

    Products and categories are those of `visits` and `strategies`; popularity changes at `START_US`
    and a day later. Order gaps are random, encodings know no key.
    """
    random = np.random.default_rng(seed)
    words = [f"{letter}{number}" for letter in "cin" for number in range(40)]
    keys = np.array(sorted(map(hash_id, words)), np.uint64)
    popularity = {}
    for name in POPULARITIES:
        popularity[f"{name}_starts"] = np.array([START_US, START_US + DAY])
        popularity[f"{name}_prior"] = random.uniform(size=2)
        popularity[f"{name}_keys"] = keys
        popularity[f"{name}_values"] = random.uniform(size=(2, len(keys)))
    tables = transition_tables(random.normal(size=(folds, 16, 16)))
    return tables._replace(
        price_edges=np.arange(10.0, 100.0, 10.0),
        order_gap_days=random.uniform(5, 50, folds),
        **popularity,
    )


def transition_tables(ratios: npt.NDArray[np.float64]) -> Tables:
    """Make tables with these ratios, shape (folds, 16, 16), and no keys."""
    return neutral_tables(len(ratios))._replace(transition_llr=ratios)


def part_of(batch: EventBatch, begin: int, end: int) -> EventBatch:
    """Take some events out of a batch."""
    return EventBatch(batch.events[begin:end], batch.items)


def fold(
    events: Sequence[AnEvent] | EventBatch,
    states: RecordArray | None = None,
    lookup: UserLookup = NOBODY,
) -> RecordArray:
    """Fold events into `states`, or into a new session; gives the state, shape (1,)."""
    states = new_state() if states is None else states
    batch = events if isinstance(events, EventBatch) else to_batch(events)
    fold_batch(states, batch, lookup, EXPIRY_US, SKEW_US)
    return states


def taken_up(lookup: UserLookup, now: int = START_US) -> RecordArray:
    """Make a session without events that has taken a visitor up: a customer as of `now`."""
    states = new_state()
    user.take_up(states[0], lookup.row[0], int(lookup.status), now)
    return states


def vector(states: RecordArray, tables: Tables = NEUTRAL, now: int | None = None) -> RecordArray:
    """Describe a session as of its last event, or of `now`: shape (1,), dtype `FEATURES`."""
    return describe_session(states, int(states[0]["last_time"]) if now is None else now, tables)


def features_of(
    events: Sequence[AnEvent],
    lookup: UserLookup = NOBODY,
    tables: Tables = NEUTRAL,
    now: int | None = None,
) -> dict[str, float]:
    """Fold events into a new session and give its features by name."""
    record = vector(fold(events, lookup=lookup), tables, now)[0]
    return {name: float(record[name]) for name in FEATURE_NAMES}


def replay(
    batch: EventBatch, session_of: Sequence[int], lookup: UserLookup = NOBODY,
    tables: Tables = NEUTRAL,
) -> tuple[RecordArray, RecordArray]:  # fmt: skip
    """Run the offline kernel over interleaved sessions; describes every event."""
    sessions = np.asarray(session_of, dtype=np.int64)
    order = np.argsort(sessions, kind="stable")
    counts = np.bincount(sessions)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    n_events = len(batch)
    return replay_sessions(
        batch, order, starts, lookup.row, np.array([int(lookup.status)], np.uint8),
        np.zeros(n_events, np.int64), tables, np.zeros(len(counts), np.int64),
        np.ones(n_events, np.bool_), EXPIRY_US, SKEW_US,
    )  # fmt: skip


def as_row(features: RecordArray) -> np.ndarray:
    """View one `FEATURES` record as a float32 row."""
    assert features.dtype == FEATURES
    return features.view(np.float32)

"""One session in serving: events of a request go in, the feature vector comes out."""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.record import EventBatch, RecordArray
from micromoment.features import reducer
from micromoment.features._compile import compiled
from micromoment.features.catalogue import FEATURES
from micromoment.features.families import user
from micromoment.features.tables import Tables
from micromoment.features.user_snapshot import UserLookup


def fold_batch(
    states: RecordArray, batch: EventBatch, lookup: UserLookup, expiry_us: int, skew_us: int
) -> RecordArray:
    """Fold n events into `states`, shape (1,), in place.

    Returns what `reducer.prepare` said of each, shape (n,), uint8: DUPLICATE, GOES_ON, TAKES_UP.
    """
    outcomes = np.zeros(len(batch), dtype=np.uint8)
    if len(batch):
        args = (batch.events, batch.items, lookup.row, int(lookup.status))
        _fold_events(states, *args, expiry_us, skew_us, outcomes)
    return outcomes


def describe_session(states: RecordArray, now: int, tables: Tables) -> RecordArray:
    """Give the feature vector as of `now` (microseconds), shape (1,), dtype `FEATURES`."""
    out = np.empty(1, FEATURES)
    _describe_one(states, now, tables, out)
    return out


def takes_up_user(states: RecordArray | None, batch: EventBatch, expiry_us: int) -> bool:
    """Tell whether folding the batch may take up user features; True more often than needed."""
    if not len(batch):
        return False
    return states is None or bool(_takes_up(states, batch.events, expiry_us))


@compiled
def _takes_up(states: Any, events: Any, expiry_us: int) -> bool:
    state = states[0]
    if state["events_seen"] == 0:
        return True
    for event in events:
        # No feature time is ahead of its event's, and one between two others may be a duplicate.
        if event["event_time"] - state["last_time"] > expiry_us:
            return True
        if event["user"] != 0 and event["user"] != state["visitor"]:
            return True
    return False


@compiled
def _fold_events(
    states: Any,
    events: Any,
    items: Any,
    user_rows: Any,
    user_status: int,
    expiry_us: int,
    skew_us: int,
    outcomes: Any,
) -> None:
    for index in range(len(events)):
        event = events[index]
        outcome = reducer.prepare(states, event, expiry_us, skew_us)
        outcomes[index] = outcome
        if outcome == reducer.DUPLICATE:
            continue
        if outcome == reducer.TAKES_UP:
            user.take_up(states[0], user_rows[0], user_status, states[0]["last_time"])
        first = event["first_item"]
        reducer.fold(states[0], event, items[first : first + event["n_items"]])


@compiled
def _describe_one(states: Any, now: int, tables: Tables, out: Any) -> None:
    reducer.describe(states[0], now, tables, 0, out[0])

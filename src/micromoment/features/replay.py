"""Many sessions offline: the reducer over events that are grouped by session.

`sessions` gives where each session's events begin: shape (n_sessions + 1,), events of session s are
`order[sessions[s] : sessions[s + 1]]` in arrival order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from micromoment.events.record import EventBatch, RecordArray
from micromoment.events.vocabulary import N_EVENT_GROUPS
from micromoment.features import reducer
from micromoment.features._compile import compiled
from micromoment.features.catalogue import FEATURES
from micromoment.features.families import items as items_family
from micromoment.features.families import pages, user
from micromoment.features.state import STATE
from micromoment.features.tables import Tables

IntArray = npt.NDArray[np.int64]

MOMENT = np.dtype(
    [
        ("outcome", "u1"),  # reducer.DUPLICATE, GOES_ON, TAKES_UP
        ("converted", "u1"),  # a purchase has happened, this event's included
        ("stage", "u1"),
        ("after_order", "u1"),  # the event is an order's confirmation page
        ("cart", "u1"),  # the cart isn't empty
        ("epoch", "u4"),
        ("events_seen", "i8"),
        ("feature_time", "i8"),
    ],
    align=True,
)


def find_take_ups(
    batch: EventBatch, order: IntArray, sessions: IntArray, expiry_us: int, skew_us: int
) -> RecordArray:
    """Run only the admission of n events: which begin a visit or make its visitor known.

    Returns `MOMENT` records in the batch's order, shape (n,), with `outcome` and `feature_time`.
    """
    moments = np.zeros(len(batch), MOMENT)
    _find_take_ups(batch.events, order, sessions, expiry_us, skew_us, moments)
    return moments


def replay_sessions(
    batch: EventBatch,
    order: IntArray,
    sessions: IntArray,
    user_rows: RecordArray,
    user_status: npt.NDArray[np.uint8],
    user_index: IntArray,
    tables: Tables,
    table_folds: IntArray,
    described: npt.NDArray[np.bool_],
    expiry_us: int,
    skew_us: int,
) -> tuple[RecordArray, RecordArray]:
    """Fold n events of m sessions and describe those where `described`, shape (n,), is true.

    `user_rows[user_index[i]]` with its status is taken up where event i takes up; `table_folds`,
    shape (m,), tells which fold of the tables encodes a session.
    Returns (moments (n,) `MOMENT`, features (n,) `FEATURES`, zeros where not described), both in
    the batch's order.
    """
    moments = np.zeros(len(batch), MOMENT)
    features = np.zeros(len(batch), FEATURES)
    _replay(
        batch.events, batch.items, order, sessions, user_rows, user_status, user_index,
        tables, table_folds, described, expiry_us, skew_us, moments, features,
    )  # fmt: skip
    return moments, features


@compiled
def _find_take_ups(
    events: Any, order: Any, sessions: Any, expiry_us: int, skew_us: int, moments: Any
) -> None:
    states = np.zeros(1, STATE)
    blank = np.zeros(1, STATE)
    for session in range(len(sessions) - 1):
        states[0] = blank[0]
        for place in range(sessions[session], sessions[session + 1]):
            index = order[place]
            outcome = reducer.prepare(states, events[index], expiry_us, skew_us)
            moments[index]["outcome"] = outcome
            moments[index]["feature_time"] = states[0]["last_time"]


@compiled
def _replay(
    events: Any,
    items: Any,
    order: Any,
    sessions: Any,
    user_rows: Any,
    user_status: Any,
    user_index: Any,
    tables: Tables,
    table_folds: Any,
    described: Any,
    expiry_us: int,
    skew_us: int,
    moments: Any,
    features: Any,
) -> None:
    states = np.zeros(1, STATE)
    blank = np.zeros(1, STATE)
    for session in range(len(sessions) - 1):
        states[0] = blank[0]
        state = states[0]
        for place in range(sessions[session], sessions[session + 1]):
            index = order[place]
            event = events[index]
            moment = moments[index]
            outcome = reducer.prepare(states, event, expiry_us, skew_us)
            if outcome == reducer.TAKES_UP:
                row = user_index[index]
                user.take_up(state, user_rows[row], user_status[row], state["last_time"])
            if outcome != reducer.DUPLICATE:
                first = event["first_item"]
                reducer.fold(state, event, items[first : first + event["n_items"]])
            moment["outcome"] = outcome
            moment["converted"] = state["converted"]
            moment["stage"] = state["stage"]
            moment["after_order"] = reducer.is_after_order(event)
            moment["cart"] = state["cart_quantity"] > 0
            moment["epoch"] = state["epoch"]
            moment["events_seen"] = state["events_seen"]
            moment["feature_time"] = state["last_time"]
            if described[index]:
                now = state["last_time"]
                reducer.describe(state, now, tables, table_folds[session], features[index])


def transitions_before_order(
    batch: EventBatch, order: IntArray, sessions: IntArray, expiry_us: int, skew_us: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Count each session's transitions up to its first order, or in all of it.

    Returns (counts (m, 16, 16), whether the session has an order (m,)). Of a session that a gap
    cut, the last visit counts, or the one with the order.
    """
    n_sessions = len(sessions) - 1
    counts = np.zeros((n_sessions, N_EVENT_GROUPS, N_EVENT_GROUPS), np.uint8)
    ordered = np.zeros(n_sessions, np.bool_)
    _count_transitions(
        batch.events, batch.items, order, sessions, expiry_us, skew_us, counts, ordered
    )
    return counts, ordered


@compiled
def _count_transitions(
    events: Any,
    items: Any,
    order: Any,
    sessions: Any,
    expiry_us: int,
    skew_us: int,
    counts: Any,
    ordered: Any,
) -> None:
    states = np.zeros(1, STATE)
    blank = np.zeros(1, STATE)
    for session in range(len(sessions) - 1):
        states[0] = blank[0]
        state = states[0]
        for place in range(sessions[session], sessions[session + 1]):
            event = events[order[place]]
            if reducer.prepare(states, event, expiry_us, skew_us) == reducer.DUPLICATE:
                continue
            first = event["first_item"]
            reducer.fold(state, event, items[first : first + event["n_items"]])
            if state["converted"]:
                ordered[session] = True
                break
        counts[session] = state["transitions"]


# What encodings are fitted on: the keys of a visit as its state holds them.
VISIT_KEYS = np.dtype(
    [
        ("session", "i8"),
        ("event", "i8"),  # the event's place in the batch
        ("pages", "u8", (pages.SLOTS,)),
        ("items", "u8", (items_family.SLOTS,)),
        ("landing", "u8"),
        ("source", "u8"),
        ("campaign", "u8"),
    ],
    align=True,
)


def visit_keys(
    batch: EventBatch,
    order: IntArray,
    sessions: IntArray,
    wanted: npt.NDArray[np.bool_],
    expiry_us: int,
    skew_us: int,
) -> RecordArray:
    """Give the keys that visits hold after the `wanted` events, shape (n,): `VISIT_KEYS`."""
    found = np.zeros(int(wanted.sum()), VISIT_KEYS)
    _visit_keys(batch.events, batch.items, order, sessions, wanted, expiry_us, skew_us, found)
    return found


@compiled
def _visit_keys(
    events: Any,
    items: Any,
    order: Any,
    sessions: Any,
    wanted: Any,
    expiry_us: int,
    skew_us: int,
    found: Any,
) -> None:
    states = np.zeros(1, STATE)
    blank = np.zeros(1, STATE)
    row = 0
    for session in range(len(sessions) - 1):
        states[0] = blank[0]
        state = states[0]
        for place in range(sessions[session], sessions[session + 1]):
            index = order[place]
            event = events[index]
            if reducer.prepare(states, event, expiry_us, skew_us) != reducer.DUPLICATE:
                first = event["first_item"]
                reducer.fold(state, event, items[first : first + event["n_items"]])
            if wanted[index]:
                keys = found[row]
                keys["session"] = session
                keys["event"] = index
                keys["pages"][:] = state["page_keys"]
                keys["items"][:] = state["item_keys"]
                keys["landing"] = state["landing_page"]
                keys["source"] = state["source"]
                keys["campaign"] = state["campaign"]
                row += 1

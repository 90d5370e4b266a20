"""The reducer: `prepare` admits an event, `fold` takes it in, `describe` writes the features.

Serving calls these per event, training through `replay`; there is no second definition. `states`
is an array of one `STATE` record, `state` that record, `event` one `EVENT` record with its `items`;
times are microseconds since 1970.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from micromoment.events.record import CONSENT_FLAGS, FLAG_FOREIGN_CURRENCY
from micromoment.events.vocabulary import (
    GROUP_OF_PAGE,
    GROUP_OF_TYPE,
    N_EVENT_GROUPS,
    N_EVENT_TYPES,
    N_PAGE_TYPES,
    STAGE_OF_GROUP,
    EventType,
    PageType,
)
from micromoment.features._compile import compiled, compiled_into_callers
from micromoment.features.families import (
    acts,
    cart,
    checkout,
    context,
    core,
    customer,
    encodings,
    pages,
    popularity,
    sequence,
    timing,
    user,
)
from micromoment.features.families import items as looks
from micromoment.features.state import STATE
from micromoment.features.tables import Tables

DUPLICATE: Final = 0  # the event changes nothing
GOES_ON: Final = 1
TAKES_UP: Final = 2  # a visit begins or its visitor becomes known: user features are taken up now

_BLANK = np.zeros(1, STATE)
_PAGE_VIEW = int(EventType.PAGE_VIEW)
_PURCHASE = int(EventType.PURCHASE)
_CONFIRMATION = int(PageType.CONFIRMATION)

_TYPE_GROUPS = np.full(N_EVENT_TYPES, -1, dtype=np.int64)
for _type, _group in GROUP_OF_TYPE.items():
    _TYPE_GROUPS[_type] = _group
_PAGE_GROUPS = np.full(N_PAGE_TYPES, -1, dtype=np.int64)
for _page, _group in GROUP_OF_PAGE.items():
    _PAGE_GROUPS[_page] = _group
_GROUP_STAGES = np.zeros(N_EVENT_GROUPS, dtype=np.int64)
for _group, _stage in STAGE_OF_GROUP.items():
    _GROUP_STAGES[_group] = _stage


@compiled
def prepare(states: Any, event: Any, expiry_us: int, skew_us: int) -> int:
    """Admit an event: drop a duplicate, start afresh after a gap, move the clock on.

    Returns DUPLICATE, GOES_ON or TAKES_UP; after the last, `user.take_up` comes before `fold`.
    """
    state = states[0]
    if core.is_duplicate(state, event):
        return DUPLICATE
    core.remember(state, event)
    now = core.feature_time(state, event, skew_us)
    begins = state["events_seen"] == 0
    if not begins and now - state["last_time"] > expiry_us:
        _start_afresh(states)
        begins = True
    known = event["user"] != 0 and event["user"] != state["visitor"]
    if begins:
        state["first_time"] = now
        state["visitor"] = event["visitor"]
    elif known:
        state["visitor"] = event["user"]
    state["last_time"] = now
    state["events_seen"] += 1
    return TAKES_UP if begins or known else GOES_ON


@compiled
def _start_afresh(states: Any) -> None:
    state = states[0]
    epoch = state["epoch"] + 1
    consent = state["consent"]
    keys = state["recent_keys"].copy()
    remembered = state["n_remembered"]
    states[0] = _BLANK[0]
    state["epoch"] = epoch
    state["consent"] = consent
    state["recent_keys"][:] = keys
    state["n_remembered"] = remembered


@compiled
def event_group(event: Any) -> int:
    """Give the event's symbol, an `EventGroup`, or -1 for an event without one."""
    if event["type"] == _PAGE_VIEW:
        return int(_PAGE_GROUPS[event["page_type"]])
    return int(_TYPE_GROUPS[event["type"]])


@compiled
def is_after_order(event: Any) -> bool:
    """Tell whether the event stems from an order that is already placed: its confirmation page."""
    return bool(event["page_type"] == _CONFIRMATION and event["type"] != _PURCHASE)


@compiled
def fold(state: Any, event: Any, items: Any) -> None:
    """Take a prepared event into the state. `items` are the event's own, shape (n_items,)."""
    if event["flags"] & FLAG_FOREIGN_CURRENCY:
        state["foreign_currency"] = 1
    if event["flags"] & CONSENT_FLAGS:
        state["consent"] = core.consent_after(state["consent"], event["flags"])
    if event["type"] == _PURCHASE:
        state["converted"] = 1
    if is_after_order(event):
        return
    now = state["last_time"]
    if state["n_events"] == 0:
        # Confirmation pages before it leave no trace in the visit's pace.
        state["first_time"] = now
        state["folded_time"] = now
    gap_us = now - state["folded_time"]
    state["folded_time"] = now
    group = event_group(event)
    stage = int(_GROUP_STAGES[group]) if group >= 0 else 0
    timing.observe(state, event, gap_us)
    looks.observe(state, event, items, now, gap_us)
    cart.observe(state, event, items, now)
    checkout.observe(state, event, stage, now)
    pages.observe(state, event)
    acts.observe(state, event)
    context.observe(state, event)
    encodings.observe(state, event, items)
    popularity.observe(state, event, items)
    sequence.observe(state, group)
    customer.observe(state, event, items, now)


@compiled_into_callers
def describe(state: Any, now: int, tables: Tables, table_fold: int, out: Any) -> None:
    """Write the feature vector as of `now` to `out`, one `FEATURES` record.

    `now` is the time of the last folded event, or later. Values are finite or the documented NaN.
    """
    timing.describe(state, now, out)
    looks.describe(state, tables.price_edges, out)
    cart.describe(state, now, out)
    checkout.describe(state, now, out)
    pages.describe(state, now, out)
    acts.describe(state, out)
    context.describe(state, now, out)
    encodings.describe(state, tables, table_fold, out)
    popularity.describe(state, now, tables, out)
    sequence.describe(state, tables.transition_llr[table_fold], out)
    user.describe(state, tables.order_gap_days[table_fold], out)
    customer.describe(state, now, tables.order_gap_days[table_fold], out)

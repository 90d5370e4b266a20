"""Hypothesis strategies for everything that the contract lets happen in a visit."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hypothesis import strategies as st

from micromoment.events.vocabulary import (
    ConsentState,
    DeviceType,
    EventType,
    PageType,
    ReferrerMedium,
)
from micromoment.features.user_snapshot import SNAPSHOT_COLUMNS, UserLookup, UserStatus, no_lookup
from tests.support.events import DAY, MINUTE, SECOND, START_US, AnEvent, AnItem
from tests.support.folding import EXPIRY_US, a_lookup

INT64_MAX: Final = 2**63 - 1
DAY_MS: Final = 86_400_000
FIRST_US: Final = 946_684_800 * SECOND  # 2000-01-01
LAST_US: Final = 4_102_444_800 * SECOND  # 2100-01-01

# A small vocabulary, so that products, pages and categories come back, and beyond each capacity.
_names = st.integers(0, 24).map(lambda number: f"n{number}")
_texts = st.one_of(_names, st.sampled_from(["\x1f", "a\x1fb", "\x00", "ß"]), st.text(max_size=12))
_missing_or_name = st.one_of(st.just(""), _texts)
_prices = st.one_of(st.integers(0, 200 * SECOND), st.sampled_from([0, 1, INT64_MAX - 1, INT64_MAX]))
_durations = st.one_of(st.integers(0, 60_000), st.sampled_from([0, 1, DAY_MS]))

# Steps from one event time to the next: together, in one breath, around the expiry, back, far away.
_steps = st.one_of(
    st.just(0),
    st.integers(1, 90 * SECOND),
    st.sampled_from([1, EXPIRY_US - 1, EXPIRY_US, EXPIRY_US + 1, 3 * DAY, 3_650 * DAY]),
    st.integers(-2 * MINUTE, -1),
    st.sampled_from([-EXPIRY_US - 1, -30 * DAY]),
)
_lags = st.one_of(
    st.none(),
    st.integers(0, 2 * SECOND),
    st.integers(-60 * MINUTE, 60 * MINUTE),
    st.just(-DAY),
)


def missing_or(values: st.SearchStrategy) -> st.SearchStrategy:
    """Draw a value, or none."""
    return st.one_of(st.none(), values)


items: Final = st.builds(
    AnItem,
    item_id=_names,
    category_path=st.one_of(
        st.just(()), st.tuples(_names), st.lists(_texts, min_size=1, max_size=5).map(tuple)
    ),
    brand=_missing_or_name,
    price_micros=missing_or(_prices),
    quantity=missing_or(st.one_of(st.integers(1, 3), st.just(1_000_000))),
    position=missing_or(st.integers(1, 100_000)),
    on_sale=missing_or(st.booleans()),
)


def _shelf(template: AnItem, first: int, count: int, acted_on: int) -> tuple[AnItem, ...]:
    # A long list costs as much to draw as one item: like ones, of which the first are acted on.
    return tuple(
        replace(
            template,
            item_id=f"n{first + place}",
            category_path=(f"n{(first + place) % 20}",),
            quantity=1 if place < acted_on else None,
        )
        for place in range(count)
    )


_item_lists = st.one_of(
    st.just(()),
    st.tuples(items),
    st.tuples(items, items),
    st.builds(_shelf, items, st.integers(0, 30), st.integers(2, 50), st.integers(0, 20)),
)
_behaviour: Final = {
    "type": st.sampled_from(EventType),
    "items": _item_lists,
    "currency": st.sampled_from(["", "", "", "USD", "EUR"]),
    "page_id": st.one_of(st.just(""), _names),
    "page_type": st.sampled_from(PageType),
    "medium": st.sampled_from(ReferrerMedium),
    "device": st.sampled_from(DeviceType),
    "utc_offset_minutes": st.sampled_from([None, None, -840, -570, 0, 60, 345, 840]),
    "scroll_percent": st.sampled_from([None, None, 0.0, 12.5, 99.99, 100.0]),
    "hover_ms": st.sampled_from([None, None, 0, 1, 1_500, DAY_MS]),
    "engagement_ms": st.sampled_from([None, None, 0, 1, 40_000, DAY_MS]),
    "search_terms_hash": st.sampled_from([None, 0, 1, 2, 2**64 - 1]),
}

# What the reducer looks at, cheaply drawn, for long sequences; `whole_events` draws every field.
events: Final = st.builds(AnEvent, **_behaviour)
whole_events: Final = st.builds(
    AnEvent,
    **{
        **_behaviour,
        "event_id": st.text(min_size=1, max_size=12),
        "items": st.one_of(_item_lists, st.lists(items, max_size=4).map(tuple)),
        "order_id": _missing_or_name,
        "value_micros": missing_or(_prices),
        "currency": st.sampled_from(["", "USD", "EUR", "JPY"]),
        "page_id": _missing_or_name,
        "page_title": _missing_or_name,
        "campaign": _missing_or_name,
        "source": _missing_or_name,
        "locale": st.sampled_from(["", "de-DE", "en"]),
        "utc_offset_minutes": missing_or(st.integers(-840, 840)),
        "scroll_percent": missing_or(st.floats(0, 100)),
        "dwell_ms": missing_or(_durations),
        "hover_ms": missing_or(_durations),
        "engagement_ms": missing_or(_durations),
        "search_terms_hash": missing_or(st.integers(0, 2**64 - 1)),
        "analytics": st.sampled_from(ConsentState),
        "personalization": st.sampled_from(ConsentState),
        "ads": st.sampled_from(ConsentState),
        "privacy_control": st.booleans(),
        "is_bot": st.booleans(),
    },
)


@st.composite
def event_sequences(
    draw: st.DrawFn, min_size: int = 1, max_size: int = 24, *, users: bool = True
) -> list[AnEvent]:
    """Draw the events of one session in arrival order, some of them repeated."""
    drawn = draw(st.lists(events, min_size=min_size, max_size=max_size))
    time = START_US
    user_id = ""
    placed: list[AnEvent] = []
    for number, event in enumerate(drawn):
        time = min(max(time + draw(_steps), FIRST_US), LAST_US)
        lag = draw(_lags)
        if users and event.type is EventType.IDENTIFY:
            user_id = draw(st.sampled_from(["u1", "u2"]))
        event_id = f"e{number}"
        if number and draw(st.integers(0, 9)) == 0:
            event_id = f"e{draw(st.integers(0, number - 1))}"
        placed.append(
            replace(
                event,
                event_id=event_id,
                event_time=time,
                received_time=None if lag is None else time + lag,
                user_id=user_id,
                sequence=number + 1,
            )
        )
    return placed


_micros = st.one_of(st.just(0), st.integers(FIRST_US, LAST_US))
_counts = st.one_of(st.integers(0, 50), st.just(INT64_MAX))


@st.composite
def user_lookups(draw: st.DrawFn) -> UserLookup:
    """Draw what came of looking a visitor up."""
    status = draw(st.sampled_from(UserStatus))
    if status is not UserStatus.FOUND:
        return no_lookup(status)
    columns = {
        column.name: draw(_micros if column.unit.startswith("us") else _counts)
        for column in SNAPSHOT_COLUMNS
    }
    return a_lookup(**columns)

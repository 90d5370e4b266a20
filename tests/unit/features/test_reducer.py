"""What an event counts as: its symbol, its stage, whether an order lies behind it."""

import pytest

from micromoment.events.vocabulary import (
    GROUP_OF_PAGE,
    GROUP_OF_TYPE,
    EventGroup,
    EventType,
    PageType,
)
from micromoment.features import reducer
from tests.support.events import an_event, to_batch
from tests.support.folding import fold


@pytest.mark.parametrize("kind", EventType)
def test_each_type_has_its_symbol_or_none(kind: EventType) -> None:
    """A type's symbol is its group's; a type without a group has none."""
    event = to_batch([an_event(type=kind, page_type=PageType.HOME)]).events[0]
    expected = EventGroup.HOME if kind is EventType.PAGE_VIEW else GROUP_OF_TYPE.get(kind, -1)
    assert reducer.event_group(event) == expected


@pytest.mark.parametrize("kind", PageType)
def test_a_page_view_takes_its_page_s_symbol(kind: PageType) -> None:
    """The confirmation page and error pages have none, whatever they would tell."""
    event = to_batch([an_event(page_type=kind)]).events[0]
    assert reducer.event_group(event) == GROUP_OF_PAGE.get(kind, -1)


def test_an_order_leaves_no_symbol() -> None:
    """A purchase is no step of the path that the ratio judges: it would be the answer."""
    states = fold([an_event(type=EventType.PURCHASE)])
    assert states[0]["n_symbols"] == 0
    assert not states[0]["transitions"].any()


@pytest.mark.parametrize(
    ("kind", "page", "expected"),
    [
        (EventType.PAGE_VIEW, PageType.CONFIRMATION, True),
        (EventType.SCROLL, PageType.CONFIRMATION, True),
        (EventType.PURCHASE, PageType.CONFIRMATION, False),
        (EventType.PAGE_VIEW, PageType.CHECKOUT, False),
    ],
)
def test_what_stems_from_an_order(kind: EventType, page: PageType, expected: bool) -> None:
    """Everything on the confirmation page does, but for the purchase itself."""
    event = to_batch([an_event(type=kind, page_type=page)]).events[0]
    assert reducer.is_after_order(event) is expected


def test_a_visit_keeps_its_visitor_until_another_one_is_known() -> None:
    """The anonymous visitor becomes the customer; an event without a user changes nothing."""
    events = [
        an_event(event_id="e1"),
        an_event(event_id="e2", user_id="u1"),
        an_event(event_id="e3"),
    ]
    batch = to_batch(events)
    state = fold(batch)[0]
    assert state["visitor"] == batch.events[1]["user"] == batch.events[1]["visitor"]
    assert fold(events[:1])[0]["visitor"] == batch.events[0]["visitor"] != state["visitor"]

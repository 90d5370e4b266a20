"""The order confirmation page tells nothing about whether a visit will convert: it already has."""

from dataclasses import replace
from itertools import accumulate

from hypothesis import assume, given
from hypothesis import strategies as st

from micromoment.events.vocabulary import EventType, PageType
from tests.support.events import MINUTE, SECOND, START_US, AnEvent, an_event
from tests.support.folding import fold, random_tables, vector
from tests.support.strategies import event_sequences, events

TABLES = random_tables()


def confirmation(event: AnEvent, event_id: str, time: int) -> AnEvent:
    """Place an event on a confirmation page, at a time."""
    kind = EventType.PAGE_VIEW if event.type is EventType.PURCHASE else event.type
    page = PageType.CONFIRMATION
    return replace(
        event, event_id=event_id, event_time=time, received_time=None, type=kind, page_type=page
    )


@given(event_sequences(users=False), events, st.data())
def test_a_confirmation_page_changes_no_feature(
    drawn: list[AnEvent], extra: AnEvent, data: st.DataObject
) -> None:
    """With a confirmation page in it a visit has, bit by bit, the vector that it has without."""
    # The clock of a visit that consists of such pages alone is theirs.
    assume(any(event.page_type is not PageType.CONFIRMATION for event in drawn))
    steps = data.draw(st.lists(st.integers(0, MINUTE), min_size=len(drawn), max_size=len(drawn)))
    visit = [
        replace(event, event_id=f"e{n}", event_time=START_US + time, received_time=None)
        for n, (event, time) in enumerate(zip(drawn, accumulate(steps), strict=True))
    ]
    place = data.draw(st.integers(0, len(visit) - 1), label="place")
    page = confirmation(extra, "c1", visit[place].event_time - data.draw(st.integers(0, SECOND)))
    before, after = visit[:place], visit[place:]
    states, bare = fold([*before, page, *after]), fold(visit)
    assert vector(states, TABLES).tobytes() == vector(bare, TABLES).tobytes()
    ending, bare = fold([*before, *after[:1], page]), fold([*before, *after[:1]])
    assert vector(ending, TABLES).tobytes() == vector(bare, TABLES).tobytes()


def test_a_confirmation_page_counts_as_seen() -> None:
    """It is accepted, counted and remembered, and doesn't mark the visit as converted."""
    page = an_event(event_id="e2", page_type=PageType.CONFIRMATION)
    state = fold([an_event(), page, page])[0]
    assert (state["events_seen"], state["n_events"], state["converted"]) == (2, 1, 0)


def test_a_purchase_on_the_confirmation_page_converts() -> None:
    """A purchase event is taken for what it is, on whatever page it was sent."""
    order = an_event(type=EventType.PURCHASE, page_type=PageType.CONFIRMATION)
    assert fold([order])[0]["converted"] == 1

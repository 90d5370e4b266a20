"""Labels of decision points, against the plainest way to find them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from micromoment.events.vocabulary import EventType, PageType
from micromoment.features.families.core import REMEMBERED_EVENTS
from tests.support.events import PLAIN_SHOP, SECOND, START_US, AnEvent, an_event, to_table
from tests.support.folding import EXPIRY_US, SKEW_US, replay
from tests.support.strategies import event_sequences
from training.replay.labels import batch_ends, label_batches
from training.replay.sessions import group_by_session


@dataclass
class Seen:
    """What the reference knows of one event: its place, its visit, whether it was accepted."""

    place: int
    event: AnEvent
    epoch: int
    accepted: bool


def follow(session: Iterable[tuple[int, AnEvent]]) -> list[Seen]:
    """Go through one session's events, one by one, as the contract says it in words."""
    seen: list[Seen] = []
    ids: list[str] = []
    last: int | None = None
    epoch = 0
    for place, event in session:
        accepted = event.event_id not in ids[-REMEMBERED_EVENTS:]
        if accepted:
            ids.append(event.event_id)
            received = event.event_time if event.received_time is None else event.received_time
            time = min(event.event_time, received + SKEW_US)
            if last is not None:
                time = max(time, last)
                epoch += time - last > EXPIRY_US
            last = time
        seen.append(Seen(place, event, epoch, accepted))
    return seen


def expected_of(session: list[Seen]) -> dict[int, tuple[bool, int, bool, bool]]:
    """Give for each place: last of its batch, the batch's end, whether an order follows, ..."""
    expected = {}
    for begin, first in enumerate(session):
        end = begin
        while end + 1 < len(session) and _one_batch(session[end], session[end + 1]):
            end += 1
        start = begin
        while start > 0 and _one_batch(session[start - 1], session[start]):
            start -= 1
        follows = any(
            later.accepted
            and later.event.type is EventType.PURCHASE
            and later.epoch == session[end].epoch
            for later in session[end + 1 :]
        )
        after_order = any(
            one.event.page_type is PageType.CONFIRMATION
            and one.event.type is not EventType.PURCHASE
            for one in session[start : end + 1]
        )
        expected[first.place] = (begin == end, session[end].place, follows, after_order)
    return expected


def _one_batch(one: Seen, other: Seen) -> bool:
    return one.event.event_time == other.event.event_time


def labels_of(events: list[AnEvent]) -> dict[int, tuple[bool, int, bool, bool]]:
    """Label events with the code under test."""
    grouped = group_by_session(to_table(events), PLAIN_SHOP)
    moments, _ = replay(grouped.batch, grouped.session_of.tolist())
    labels = label_batches(grouped, moments)
    rows = zip(
        labels.batch_last, labels.end, labels.converts_later, labels.after_order, strict=True
    )
    return {
        place: (bool(last), int(end), bool(later), bool(after))
        for place, (last, end, later, after) in enumerate(rows)
    }


@given(st.lists(event_sequences(max_size=12), min_size=1, max_size=3), st.data())
def test_labels_are_those_of_the_reference(
    visits: list[list[AnEvent]], data: st.DataObject
) -> None:
    """Batches, ends, later orders and confirmation pages, over interleaved sessions and gaps."""
    kinds = st.sampled_from([EventType.PURCHASE, EventType.PAGE_VIEW, EventType.ITEM_VIEW])
    named = [
        [replace(event, session_id=f"s{n}", type=data.draw(kinds)) for event in visit]
        for n, visit in enumerate(visits)
    ]
    order = data.draw(st.permutations([n for n, visit in enumerate(named) for _ in visit]))
    turns = [iter(visit) for visit in named]
    events = [next(turns[n]) for n in order]
    expected: dict[int, tuple[bool, int, bool, bool]] = {}
    for session in range(len(named)):
        own = [(place, event) for place, event in enumerate(events) if order[place] == session]
        expected |= expected_of(follow(own))
    assert labels_of(events) == expected


def seconds(*times: int, kinds: dict[int, EventType]) -> list[AnEvent]:
    """Make one session's events at these seconds; `kinds` tells the types of some."""
    return [
        an_event(
            event_id=f"e{n}",
            event_time=START_US + time * SECOND,
            type=kinds.get(n, EventType.PAGE_VIEW),
        )
        for n, time in enumerate(times)
    ]


def later(events: list[AnEvent]) -> list[bool]:
    """Tell of each event whether an order follows."""
    found = labels_of(events)
    return [found[place][2] for place in range(len(events))]


def test_an_order_in_the_batch_is_not_later() -> None:
    """The batch with the purchase and all after it are not followed by an order."""
    visit = seconds(0, 10, 10, 20, kinds={2: EventType.PURCHASE})
    assert later(visit) == [True, False, False, False]


def test_a_second_order_is_later() -> None:
    """Between two purchases another one follows."""
    visit = seconds(0, 10, 20, 30, kinds={1: EventType.PURCHASE, 3: EventType.PURCHASE})
    assert later(visit) == [True, True, True, False]


def test_an_order_after_a_gap_belongs_to_the_next_visit() -> None:
    """The visit before the gap did not convert, though its session id did."""
    visit = seconds(0, 10, 4_000, 4_010, kinds={3: EventType.PURCHASE})
    assert later(visit) == [False, False, True, False]


def test_a_repeated_order_event_is_no_order() -> None:
    """A purchase that is sent again is the same one."""
    visit = seconds(0, 10, 20, kinds={1: EventType.PURCHASE, 2: EventType.PURCHASE})
    visit[2] = replace(visit[2], event_id="e1")
    assert later(visit) == [True, False, False]


def test_no_events() -> None:
    """An empty table has no batches, no labels, and is no error."""
    grouped = group_by_session(to_table([]), PLAIN_SHOP)
    last, end = batch_ends(grouped)
    assert len(last) == len(end) == 0
    moments, _ = replay(grouped.batch, np.zeros(0, np.int64).tolist())
    assert len(label_batches(grouped, moments).converts_later) == 0

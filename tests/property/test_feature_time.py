"""Feature time: the event's own, never backwards, never ahead of the server's clock."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from micromoment.features.state import new_state
from micromoment.features.user_snapshot import UserLookup
from tests.support.events import DAY, MINUTE, SECOND, START_US, AnEvent, an_event, to_batch
from tests.support.folding import EXPIRY_US, SKEW_US, fold, part_of, random_tables, vector
from tests.support.strategies import event_sequences, user_lookups

TABLES = random_tables()


@given(event_sequences())
def test_feature_time_never_runs_backwards_nor_ahead(visit: list[AnEvent]) -> None:
    """It is the larger of the last one and the event's, held to the arrival's time plus skew."""
    states = new_state()
    batch = to_batch(visit)
    last = 0
    for place, event in enumerate(visit):
        seen = int(states[0]["n_remembered"])
        fold(part_of(batch, place, place + 1), states)
        now = int(states[0]["last_time"])
        received = event.event_time if event.received_time is None else event.received_time
        assert now >= last
        if int(states[0]["n_remembered"]) > seen:
            assert now == max(last, min(event.event_time, received + SKEW_US))
        else:
            assert now == last
        last = now


def test_a_clock_that_runs_ahead_is_held_to_the_skew() -> None:
    """An event dated an hour ahead of its arrival counts as five minutes ahead."""
    ahead = an_event(event_time=START_US + 60 * MINUTE, received_time=START_US)
    assert fold([ahead])[0]["last_time"] == START_US + SKEW_US


def test_a_gap_at_the_expiry_goes_on_and_above_it_starts_afresh() -> None:
    """Exactly 30 minutes belong to the visit, one microsecond more to the next one."""
    for gap, epoch in ((EXPIRY_US, 0), (EXPIRY_US + 1, 1)):
        events = [an_event(), an_event(event_id="e2", event_time=START_US + gap)]
        state = fold(events)[0]
        assert (state["epoch"], state["events_seen"]) == (epoch, 2 - epoch)


@given(event_sequences(max_size=12), event_sequences(max_size=12), user_lookups())
def test_after_a_gap_a_visit_is_like_a_new_session(
    before: list[AnEvent], after: list[AnEvent], lookup: UserLookup
) -> None:
    """The vector after a gap is, bit by bit, that of a session which begins there."""
    first = after[0]
    # Within a session the clock can't be turned back behind what came before.
    earlier = [
        replace(event, event_id=f"b{place}", event_time=first.event_time - 20 * DAY + place,
                received_time=None)
        for place, event in enumerate(before)
    ]  # fmt: skip
    assume(first.received_time is None or first.received_time >= first.event_time - DAY)
    afresh = fold([*earlier, *after], lookup=lookup)
    alone = fold(after, lookup=lookup)
    assert afresh[0]["epoch"] == alone[0]["epoch"] + 1
    assert vector(afresh, TABLES).tobytes() == vector(alone, TABLES).tobytes()
    for name in ("events_seen", "first_time", "last_time", "visitor", "converted", "state_lost"):
        assert afresh[0][name] == alone[0][name]


@given(event_sequences(), st.integers(0, 7 * DAY))
def test_only_differences_of_time_count(visit: list[AnEvent], shift: int) -> None:
    """A visit moved by some weeks has the same features, but for its place in the year."""
    whole_weeks = shift // (7 * DAY) * 7 * DAY + 7 * DAY
    moved = [
        replace(
            event,
            event_time=event.event_time + whole_weeks,
            received_time=event.received_time and event.received_time + whole_weeks,
        )
        for event in visit
    ]
    vectors = [vector(fold(events)) for events in (visit, moved)]
    for record in vectors:
        record["days_to_special_day"] = 0
        record["customer_year_day"] = 0
    assert vectors[0].tobytes() == vectors[1].tobytes()


def test_describing_reads_no_clock() -> None:
    """The same events give the same bits whenever they are folded."""
    visit = [an_event(event_id=f"e{n}", event_time=START_US + n * SECOND) for n in range(5)]
    assert vector(fold(visit), TABLES).tobytes() == vector(fold(visit), TABLES).tobytes()

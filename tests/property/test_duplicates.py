"""A repeated event id changes nothing, as far back as the session remembers."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from micromoment.features import reducer
from micromoment.features.families.core import REMEMBERED_EVENTS
from micromoment.features.session import fold_batch
from micromoment.features.state import new_state
from tests.support.events import DAY, MINUTE, SECOND, START_US, AnEvent, an_event, to_batch
from tests.support.folding import EXPIRY_US, NOBODY, SKEW_US, fold
from tests.support.strategies import event_sequences, events


@given(event_sequences(), events, st.data())
def test_a_repeated_id_changes_nothing(
    visit: list[AnEvent], other: AnEvent, data: st.DataObject
) -> None:
    """Whatever a repeated id carries and whenever it comes, the state keeps every byte."""
    states = fold(visit)
    before = states.tobytes()
    known = data.draw(st.sampled_from(visit), label="repeated")
    later = known.event_time + data.draw(st.sampled_from([-DAY, 0, SECOND, DAY]))
    repeats = [known, replace(other, event_id=known.event_id, event_time=later, user_id="u9")]
    outcomes = fold_batch(states, to_batch(repeats), NOBODY, EXPIRY_US, SKEW_US)
    assert outcomes.tolist() == [reducer.DUPLICATE, reducer.DUPLICATE]
    assert states.tobytes() == before


@given(event_sequences(max_size=12), st.data())
def test_a_retried_visit_is_the_visit(visit: list[AnEvent], data: st.DataObject) -> None:
    """Requests that are sent again, in part or in whole, leave the state of sending them once."""
    resent: list[AnEvent] = []
    for place in range(len(visit)):
        resent += visit[: place + 1] if data.draw(st.booleans()) else [visit[place]]
    assert fold(resent).tobytes() == fold(visit).tobytes()


def test_the_last_256_ids_are_remembered() -> None:
    """The 256th id from the end is still known as a duplicate, the 257th counts as a new event."""
    visit = [an_event(event_id=f"e{n}", event_time=START_US + n) for n in range(300)]
    states = fold(visit)
    oldest_known = len(visit) - REMEMBERED_EVENTS
    repeats = [visit[oldest_known], visit[oldest_known - 1]]
    outcomes = fold_batch(states, to_batch(repeats), NOBODY, EXPIRY_US, SKEW_US)
    assert outcomes.tolist() == [reducer.DUPLICATE, reducer.GOES_ON]
    assert states[0]["events_seen"] == 301


def test_ids_are_remembered_over_a_gap() -> None:
    """A retry that comes after the visit has started afresh is still known as a duplicate."""
    first = an_event(event_id="e1")
    second = an_event(event_id="e2", event_time=START_US + 31 * MINUTE)
    states = fold([first, second])
    assert states[0]["epoch"] == 1
    outcomes = fold_batch(states, to_batch([first]), NOBODY, EXPIRY_US, SKEW_US)
    assert outcomes.tolist() == [reducer.DUPLICATE]


def test_a_new_session_knows_no_ids() -> None:
    """The empty memory of a new session takes no id for a duplicate, whatever its hash."""
    batch = to_batch([an_event()])
    batch.events["event_key"] = 0
    outcomes = fold_batch(new_state(), batch, NOBODY, EXPIRY_US, SKEW_US)
    assert outcomes.tolist() == [reducer.TAKES_UP]

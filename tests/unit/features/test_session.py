"""When a request must look the visitor up."""

from hypothesis import given
from hypothesis import strategies as st

from micromoment.features import reducer
from micromoment.features.session import fold_batch, takes_up_user
from micromoment.features.state import new_state
from tests.support.events import MINUTE, SECOND, START_US, AnEvent, an_event, to_batch
from tests.support.folding import EXPIRY_US, NOBODY, SKEW_US, fold
from tests.support.strategies import event_sequences


@given(event_sequences(max_size=16), st.integers(0, 16))
def test_no_request_takes_up_what_was_not_looked_up(visit: list[AnEvent], cut: int) -> None:
    """Whenever a fold takes user features up, it was known before that a look-up is needed."""
    states = fold(visit[:cut])
    later = to_batch(visit[cut:])
    needed = takes_up_user(states, later, EXPIRY_US)
    outcomes = fold_batch(states, later, NOBODY, EXPIRY_US, SKEW_US)
    assert needed or not (outcomes == reducer.TAKES_UP).any()


def test_a_repeated_event_hides_no_gap() -> None:
    """A retry that is dated anew, between the last event and one after a gap, ends no visit."""
    states = fold([an_event()])
    retry = an_event(event_time=START_US + 20 * MINUTE)
    after_gap = an_event(event_id="e2", event_time=START_US + 40 * MINUTE)
    assert takes_up_user(states, to_batch([retry, after_gap]), EXPIRY_US)


def test_an_ordinary_request_looks_nobody_up() -> None:
    """Events that go on with a visit of the same visitor need no look-up; others do."""
    states = fold([an_event(user_id="u1")])
    next_one = an_event(event_id="e2", event_time=START_US + SECOND, user_id="u1")
    assert not takes_up_user(states, to_batch([next_one]), EXPIRY_US)
    assert not takes_up_user(states, to_batch([]), EXPIRY_US)
    assert not takes_up_user(None, to_batch([]), EXPIRY_US)
    assert takes_up_user(None, to_batch([next_one]), EXPIRY_US)
    assert takes_up_user(new_state(), to_batch([next_one]), EXPIRY_US)
    other = an_event(event_id="e3", event_time=START_US + SECOND, user_id="u2")
    assert takes_up_user(states, to_batch([other]), EXPIRY_US)

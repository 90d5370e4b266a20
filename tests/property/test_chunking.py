"""However the events of a visit are cut into requests, the same bits come out."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from micromoment.features.state import new_state
from micromoment.features.user_snapshot import UserLookup
from tests.support.events import AnEvent, to_batch
from tests.support.folding import fold, part_of, random_tables, replay, vector
from tests.support.strategies import event_sequences, user_lookups

TABLES = random_tables()


@given(event_sequences(), user_lookups(), st.data())
def test_any_chunking_gives_the_same_state(
    events: list[AnEvent], lookup: UserLookup, data: st.DataObject
) -> None:
    """Requests of random sizes leave the state and vector that single events leave, bit by bit."""
    cuts = data.draw(st.sets(st.integers(1, len(events))), label="cuts")
    batch = to_batch(events)
    chunked, single = new_state(), new_state()
    for begin, end in pairwise([0, *sorted(cuts), len(events)]):
        fold(part_of(batch, begin, end), chunked, lookup)
        for place in range(begin, end):
            fold(part_of(batch, place, place + 1), single, lookup)
        assert chunked.tobytes() == single.tobytes()
        assert vector(chunked, TABLES).tobytes() == vector(single, TABLES).tobytes()


@given(st.lists(event_sequences(max_size=10), min_size=1, max_size=4), user_lookups(), st.data())
def test_replay_gives_what_serving_gives(
    visits: list[list[AnEvent]], lookup: UserLookup, data: st.DataObject
) -> None:
    """The offline kernel over interleaved sessions gives each event the online vector's bits."""
    owners = [place for place, visit in enumerate(visits) for _ in visit]
    session_of = data.draw(st.permutations(owners), label="sessions")
    turns = {place: iter(visit) for place, visit in enumerate(visits)}
    batch = to_batch([next(turns[session]) for session in session_of])
    moments, features = replay(batch, session_of, lookup, TABLES)
    states = {session: new_state() for session in set(session_of)}
    for place, session in enumerate(session_of):
        state = fold(part_of(batch, place, place + 1), states[session], lookup)
        assert features[place].tobytes() == vector(state, TABLES)[0].tobytes()
        record, moment = state[0], moments[place]
        for name in ("converted", "stage", "epoch", "events_seen"):
            assert moment[name] == record[name]
        assert moment["cart"] == (record["cart_quantity"] > 0)
        assert moment["feature_time"] == record["last_time"]


@given(event_sequences(), user_lookups())
def test_a_vector_is_a_float32_row(events: list[AnEvent], lookup: UserLookup) -> None:
    """A vector's bytes are its values as float32, in the catalogue's order, without padding."""
    record = vector(fold(events, lookup=lookup), TABLES)
    row = np.array(record[0].tolist(), np.float32)
    assert record.tobytes() == row.tobytes()

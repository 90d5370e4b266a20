"""Events grouped by session."""

from dataclasses import replace

from micromoment.events.identity import IdEncoder, IdKey
from tests.support.events import PLAIN_SHOP, START_US, an_event, to_table
from tests.support.visits import made_up_visits
from training.replay.sessions import group_by_session, last_of_batch, visitor_ids


def test_each_session_s_events_by_arrival() -> None:
    """A session's places are its own rows, in the order in which they came."""
    events = made_up_visits(30)
    grouped = group_by_session(to_table(events), PLAIN_SHOP)
    assert grouped.n_sessions == 30
    found = {}
    for session in range(grouped.n_sessions):
        places = grouped.order[grouped.starts[session] : grouped.starts[session + 1]].tolist()
        assert places == sorted(places)
        assert set(grouped.session_of[places].tolist()) == {session}
        found[events[places[0]].session_id] = [events[place].event_id for place in places]
    expected: dict[str, list[str]] = {}
    for event in events:
        expected.setdefault(event.session_id, []).append(event.event_id)
    assert found == expected


def test_who_the_visitor_is() -> None:
    """The user's id where it is known and not empty, else the anonymous one, else nobody."""
    table = to_table(
        [
            an_event(user_id="u1", anonymous_id="a1"),
            an_event(user_id="", anonymous_id="a1"),
            an_event(user_id="", anonymous_id=""),
        ]
    )
    assert visitor_ids(table).to_pylist() == ["u1", "a1", None]
    place = table.column_names.index("user_id")
    empty = table.set_column(place, "user_id", [["", "", ""]])
    assert visitor_ids(empty).to_pylist() == ["a1", "a1", None]


def test_visitors_are_encoded_alike_for_look_ups_and_records() -> None:
    """With a key, a look-up asks for the pseudonym that the store holds."""
    ids = IdEncoder([IdKey("k1", b"secret")])
    table = to_table([an_event(user_id="u1"), an_event(anonymous_id="")])
    assert visitor_ids(table, ids).to_pylist() == [ids.encode("u1"), None]


def test_a_batch_ends_where_time_or_session_changes() -> None:
    """Events of one session with one time are a batch, also when others came in between."""
    one = an_event(event_id="a", session_id="s1", event_time=START_US)
    two = replace(one, event_id="b", session_id="s2")
    rows = [
        one,
        two,
        replace(one, event_id="c"),
        replace(one, event_id="d", event_time=START_US + 1),
        replace(two, event_id="e"),
        replace(one, event_id="f"),
    ]
    grouped = group_by_session(to_table(rows), PLAIN_SHOP)
    assert last_of_batch(grouped).tolist() == [False, False, True, True, True, True]

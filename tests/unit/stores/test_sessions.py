"""The in-process session store: bounded, copying, forgetful in a known way."""

from __future__ import annotations

import numpy as np
import pytest

from micromoment.errors import InvalidSettingError
from micromoment.features.state import STATE, new_state
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.sessions import MemorySessionStore


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


def key(name: str) -> SessionKey:
    """Make a key."""
    return SessionKey("default", name)


def entry(events_seen: int) -> SessionEntry:
    """Make a session that can be told from others."""
    state = new_state()
    state[0]["events_seen"] = events_seen
    return SessionEntry.of(state, f"e{events_seen}")


def seen(store: MemorySessionStore, name: str) -> int | None:
    """Give what tells the session from others, None when it is unknown."""
    found = store.get(key(name))
    return None if found is None else int(found.state[0]["events_seen"])


def test_what_was_put_is_given_back() -> None:
    """State and last event id come back as they were."""
    store = MemorySessionStore(10, 60)
    store.put(key("a"), entry(7))
    found = store.get(key("a"))
    assert found is not None
    assert found.state.tobytes() == entry(7).state.tobytes()
    assert (found.state.shape, found.last_event_id) == ((1,), "e7")


def test_entries_are_copies() -> None:
    """Changing what was put or given changes nothing in the store."""
    store = MemorySessionStore(10, 60)
    mine = entry(1)
    store.put(key("a"), mine)
    mine.data = entry(2).data
    given = store.get(key("a"))
    assert given is not None
    given.data = entry(3).data
    with pytest.raises(ValueError, match="read-only"):
        given.state[0]["events_seen"] = 4
    assert seen(store, "a") == 1


def test_the_same_name_of_another_tenant_is_another_session() -> None:
    """Tenants never see each other's sessions."""
    store = MemorySessionStore(10, 60)
    store.put(SessionKey("one", "a"), entry(1))
    assert store.get(SessionKey("two", "a")) is None


def test_the_least_recently_used_session_makes_room() -> None:
    """Reading a session keeps it; the other one goes and is remembered as lost."""
    store = MemorySessionStore(2, 60)
    store.put(key("a"), entry(1))
    store.put(key("b"), entry(2))
    assert seen(store, "a") == 1
    store.put(key("c"), entry(3))
    assert (len(store), seen(store, "a"), seen(store, "b"), seen(store, "c")) == (2, 1, None, 3)
    assert store.was_evicted(key("b"))
    assert not store.was_evicted(key("a"))


def test_a_lost_session_that_comes_back_is_no_longer_lost() -> None:
    """Once it is kept again, it isn't called lost."""
    store = MemorySessionStore(1, 60)
    store.put(key("a"), entry(1))
    store.put(key("b"), entry(2))
    store.put(key("a"), entry(3))
    assert not store.was_evicted(key("a"))
    assert store.was_evicted(key("b"))


def test_a_session_outlives_its_ttl_by_nothing() -> None:
    """Up to the ttl it is known, after it not, and it isn't called lost: its visit is over."""
    clock = Clock()
    store = MemorySessionStore(10, 60, clock=clock)
    store.put(key("a"), entry(1))
    clock.now += 60
    assert seen(store, "a") == 1
    clock.now += 60.5
    assert seen(store, "a") is None
    assert not store.was_evicted(key("a"))


def test_idle_sessions_make_room_before_live_ones() -> None:
    """A full store of idle sessions takes a new one without losing any that is live."""
    clock = Clock()
    store = MemorySessionStore(2, 60, clock=clock)
    store.put(key("idle"), entry(1))
    clock.now += 50
    store.put(key("live"), entry(2))
    clock.now += 20
    store.put(key("new"), entry(3))
    assert (seen(store, "live"), seen(store, "new"), seen(store, "idle")) == (2, 3, None)
    assert not store.was_evicted(key("idle"))


def test_sessions_never_share_memory() -> None:
    """After thousands of evictions each session still has its own state."""
    store = MemorySessionStore(1_500, 60)
    for number in range(5_000):
        store.put(key(str(number)), entry(number))
    assert len(store) == 1_500
    assert [seen(store, str(number)) for number in range(3_500, 5_000)] == list(range(3_500, 5_000))


def test_lost_sessions_are_remembered_within_bounds() -> None:
    """Only the last 100,000 lost keys are remembered."""
    store = MemorySessionStore(1, 60)
    for number in range(100_001):
        store.remember_lost(key(str(number)))
    assert not store.was_evicted(key("0"))
    assert store.was_evicted(key("1"))


def test_evictions_are_counted_by_why() -> None:
    """Outlived, pushed out of a full store, pushed out at the tenant's cap."""
    clock = Clock()
    store = MemorySessionStore(3, 60, max_per_tenant=2, clock=clock)
    store.put(key("a"), entry(1))
    clock.now += 61
    for name in "bcd":
        store.put(key(name), entry(1))
    store.put(SessionKey("other", "a"), entry(1))
    store.put(SessionKey("other", "b"), entry(1))
    assert store.forget(key("d"))
    assert not store.forget(key("d"))
    assert dict(store.evictions) == {"expired": 1, "capacity": 1, "tenant_cap": 1, "erased": 1}


def test_a_forgotten_session_leaves_no_bytes() -> None:
    """Its state is overwritten, and sessions are found by a word of their states."""
    store = MemorySessionStore(100, 60)
    assert STATE.fields is not None
    offset = STATE.fields["visitor"][1]
    for number in range(50):
        state = new_state()
        state["visitor"] = 7 if number % 10 == 3 else 1_000 + number
        store.put(key(str(number)), SessionEntry.of(state, "e"))
    found = store.holding([7], offset)
    assert sorted(one.session_id for one in found) == ["13", "23", "3", "33", "43"]
    for one in found:
        store.forget(one)
    assert store.holding([7], offset) == []
    assert len(store) == 45
    assert MemorySessionStore(100, 60).holding([7], offset) == []
    assert not store.was_evicted(found[0])


def test_a_large_store_keeps_visits_under_way_from_a_crawler() -> None:
    """In one of many parts too: four crawled sessions for each place, and none of them is lost."""
    store = MemorySessionStore(5_000, 60)
    for name in [*range(3_500), *range(3_500)]:
        store.put(key(str(name)), entry(1))
    for name in range(20_000):
        store.put(key(f"crawled{name}"), entry(2))
    assert len(store) == 5_000
    assert all(seen(store, str(name)) == 1 for name in range(3_500))
    assert store.was_evicted(key("crawled0"))


@pytest.mark.parametrize("sessions", [10**12, 10**18])
def test_more_sessions_than_there_is_memory_for_are_refused(sessions: int) -> None:
    """At the start, by the setting's name, and not when memory runs out."""
    with pytest.raises(InvalidSettingError, match="max_sessions"):
        MemorySessionStore(sessions, 60)


def test_a_state_of_another_size_is_refused() -> None:
    """It would tear its neighbours."""
    store = MemorySessionStore(10, 60)
    with pytest.raises(IndexError):
        store.put(key("a"), SessionEntry(b"short", "e"))


def test_a_states_memory_is_aligned_for_compiled_code() -> None:
    """What is given has the alignment that NumPy records promise."""
    store = MemorySessionStore(10, 60)
    store.put(key("a"), entry(1))
    found = store.get(key("a"))
    assert found is not None
    assert found.state.flags.aligned
    assert np.array_equal(found.state, entry(1).state)

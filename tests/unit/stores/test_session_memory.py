"""What sessions take in memory: known, bounded, and nothing to the garbage collector."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from micromoment.features.state import STATE, new_state
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.sessions import LARGEST_SESSION_BYTES, SESSION_BYTES, MemorySessionStore

SESSIONS = 20_000
# Objects are laid out in steps of 16 bytes: two ids and a number, half a step each.
ROUNDING = 3 * 8
# What a heap takes beside, by `benchmarks/sessions.py`: 46 bytes with a million sessions.
HEAP = 60


def fill(store: MemorySessionStore, an_id: Callable[[int], str], calls: int) -> None:
    """Keep twice as many sessions as fit, every second one used again, with ids of their own."""
    state = new_state()
    for number in range(2 * SESSIONS):
        for call in range(calls if number % 2 else 1):
            key = SessionKey("default", an_id(number))
            store.get(key)
            store.put(key, SessionEntry.of(state, an_id(number + call)))


def bytes_each(an_id: Callable[[int], str], calls: int) -> float:
    """Give what one of 20,000 sessions takes beside a state, in the store's own mapping."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        store = MemorySessionStore(SESSIONS, 3_600)
        empty, _ = tracemalloc.get_traced_memory()
        fill(store, an_id, calls)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store) == SESSIONS
    # What is taken at the start counts per session as far as it grows with their number.
    columns = min(empty - before, 16 * SESSIONS)
    return (after - empty + columns) / SESSIONS + ROUNDING + HEAP + STATE.itemsize


@pytest.mark.parametrize("calls", [1, 4])
def test_a_session_takes_what_is_documented(calls: int) -> None:
    """With ids of 36 characters, and it stays so however often sessions are used and replaced."""
    taken = bytes_each(lambda number: f"{number:036x}", calls)
    assert 0.95 * SESSION_BYTES < taken <= SESSION_BYTES


@pytest.mark.parametrize(
    "an_id",
    [
        lambda number: f"{number:0256x}",
        lambda number: f"{number:0252x}🛒",  # one wide character makes all four bytes wide
        lambda number: f"{number:016x}" + "é" * 120,
    ],
    ids=["ascii", "one wide", "latin"],
)
def test_ids_of_256_bytes_have_a_stated_maximum(an_id: Callable[[int], str]) -> None:
    """Whatever characters they are of, a session stays below it."""
    assert len(an_id(1).encode()) == 256
    assert bytes_each(an_id, 2) <= LARGEST_SESSION_BYTES


def test_sessions_are_nothing_to_the_garbage_collector() -> None:
    """However many are kept, it has no more objects to walk."""
    store = MemorySessionStore(SESSIONS, 3_600)
    gc.collect()
    before = len(gc.get_objects())
    fill(store, str, 2)
    gc.collect()
    assert len(gc.get_objects()) - before < 100


def test_the_bytes_held_follow_the_number_of_sessions() -> None:
    """They are those of one session times their number."""
    store = MemorySessionStore(10, 3_600)
    store.put(SessionKey("default", "a"), SessionEntry.of(new_state(), "e"))
    assert store.bytes_held == SESSION_BYTES

"""Sessions over a restart: whole, or not at all."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import numpy as np
import pytest

from micromoment.errors import InvalidDataError
from micromoment.features.state import STATE, new_state
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.session_file import StateFormat, load_sessions, save_sessions
from micromoment.stores.sessions import MemorySessionStore


def a_store(sessions: int = 3, max_sessions: int = 10) -> MemorySessionStore:
    """Make a store with sessions s0, s1, ... that differ in every byte of a field."""
    store = MemorySessionStore(max_sessions, 60)
    for number in range(sessions):
        state = new_state()
        state[0]["events_seen"] = number + 1
        key = SessionKey("default", f"s{number}é")
        store.put(key, SessionEntry.of(state, f"e{number}"))
    return store


def contents(store: MemorySessionStore) -> list[tuple[SessionKey, bytes, str]]:
    """Give all that a store keeps, in its order."""
    return [(k, e.state.tobytes(), e.last_event_id) for k, e, _ in store.oldest_first()]


def test_sessions_come_back_bit_by_bit(tmp_path: Path) -> None:
    """A new store holds the same keys, states and last event ids in the same order."""
    path = tmp_path / "deep" / "sessions.bin"
    store, restored = a_store(), MemorySessionStore(10, 60)
    save_sessions(store, path)
    report = load_sessions(restored, path)
    assert contents(restored) == contents(store)
    assert (report.kept, report.refused) == (3, 0)


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    """Nobody else has any right on it, and no draft is left."""
    path = tmp_path / "sessions.bin"
    save_sessions(a_store(), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_sessions_that_outlived_their_ttl_stay_away(tmp_path: Path) -> None:
    """Time goes on while a server is down."""
    path = tmp_path / "sessions.bin"
    save_sessions(a_store(), path)
    later = MemorySessionStore(10, 60, clock=lambda: 4e9)
    assert load_sessions(later, path).kept == 0


def test_a_smaller_store_keeps_the_newest(tmp_path: Path) -> None:
    """The others are remembered as lost."""
    path = tmp_path / "sessions.bin"
    save_sessions(a_store(), path)
    small = MemorySessionStore(1, 60)
    load_sessions(small, path)
    assert small.get(SessionKey("default", "s2é")) is not None
    assert small.was_evicted(SessionKey("default", "s0é"))


def test_who_was_used_again_is_protected_after_a_restart(tmp_path: Path) -> None:
    """New sessions push out those of a single call, though these were used later."""
    path = tmp_path / "sessions.bin"
    store, restored = a_store(), MemorySessionStore(4, 60)
    store.get(SessionKey("default", "s0é"))
    save_sessions(store, path)
    load_sessions(restored, path)
    for number in range(10):
        restored.put(SessionKey("default", f"new{number}"), SessionEntry.of(new_state(), "e"))
    assert restored.get(SessionKey("default", "s0é")) is not None
    assert restored.was_evicted(SessionKey("default", "s2é"))


def test_a_file_that_names_no_segments_is_read(tmp_path: Path) -> None:
    """Earlier ones don't; their sessions are protected, as far as there is room."""
    path = tmp_path / "sessions.bin"
    save_sessions(a_store(), path)
    content = path.read_bytes()[:-32].replace(b'"probation": 3', b'"unheard_of": 3')
    longer = content[8] + len('"unheard_of"') - len('"probation"')
    content = content[:8] + bytes([longer]) + content[9:]
    path.write_bytes(content + hashlib.sha256(content).digest())
    restored = MemorySessionStore(10, 60)
    assert load_sessions(restored, path).kept == 3
    assert restored.n_probation == 0


@pytest.mark.parametrize(
    "other",
    [
        StateFormat(version=99),
        StateFormat(dtype=np.dtype([("something_else", "i8", (STATE.itemsize // 8,))])),
    ],
)
def test_states_of_another_format_are_refused_and_called_lost(
    tmp_path: Path, other: StateFormat
) -> None:
    """A state of another version or layout is never read; its session is known to be lost."""
    path = tmp_path / "sessions.bin"
    save_sessions(a_store(), path)
    store = MemorySessionStore(10, 60)
    report = load_sessions(store, path, other)
    assert (report.kept, report.refused, len(store)) == (0, 3, 0)
    assert store.was_evicted(SessionKey("default", "s0é"))


def test_any_damaged_byte_is_noticed(tmp_path: Path) -> None:
    """Wherever a byte is changed or cut off, nothing is restored."""
    path = tmp_path / "sessions.bin"
    save_sessions(a_store(sessions=1), path)
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        damaged = bytearray(good)
        damaged[place] ^= 1
        for content in (bytes(damaged), good[:place]):
            path.write_bytes(content)
            store = MemorySessionStore(10, 60)
            with pytest.raises(InvalidDataError):
                load_sessions(store, path)
            assert len(store) == 0


def test_a_failed_save_leaves_the_last_file(tmp_path: Path) -> None:
    """What was there stays there when the new file can't be written whole."""
    path = tmp_path / "sessions.bin"
    save_sessions(a_store(sessions=1), path)
    before = path.read_bytes()
    broken = a_store(sessions=1)
    broken.put(SessionKey("default", "x" * 70_000), SessionEntry.of(new_state(), "e"))
    with pytest.raises(Exception, match=r"argument|format"):
        save_sessions(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]

"""Session state in the process: bounded, least recently used out first, kept over a restart."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from micromoment.features.state import STATE
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.slab import Slab

_MAX_LOST_KEYS: Final = 100_000
# How many idle sessions one `put` clears away: more than one, so that a backlog shrinks.
_SWEEP: Final = 4


@dataclass(slots=True)
class _Kept:
    slot: int
    used_at: float
    last_event_id: str


class MemorySessionStore:
    """Keeps up to `max_sessions` sessions, each for `ttl_s` seconds after its last use.

    A session takes the state's size plus half a KiB. One that had to make room is remembered as
    lost (the last 100,000 of them); one that outlived `ttl_s` is not, its visit is over. `clock`
    gives seconds since 1970; it decides on memory alone, never on a feature.
    """

    def __init__(
        self,
        max_sessions: int,
        ttl_s: float,
        *,
        state_bytes: int = STATE.itemsize,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._max_sessions = max_sessions
        self._ttl_s = ttl_s
        self._clock = clock
        self._slab = Slab(state_bytes)
        self._kept: OrderedDict[SessionKey, _Kept] = OrderedDict()
        self._lost: OrderedDict[SessionKey, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: SessionKey) -> SessionEntry | None:
        """Give the session, which counts as use."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        now = self._clock()
        if kept.used_at + self._ttl_s < now:
            self._drop(key)
            return None
        kept.used_at = now
        self._kept.move_to_end(key)
        return SessionEntry(self._slab.read(kept.slot), kept.last_event_id)

    def put(self, key: SessionKey, entry: SessionEntry) -> None:
        """Keep a copy of `entry`; the least recently used session makes room."""
        self._keep(key, entry, self._clock())

    def was_evicted(self, key: SessionKey) -> bool:
        """Tell whether the session was known once and lost, as far as that is remembered."""
        return key in self._lost

    def remember_lost(self, key: SessionKey) -> None:
        """Remember that the session was known once and is lost."""
        self._lost[key] = None
        if len(self._lost) > _MAX_LOST_KEYS:
            self._lost.popitem(last=False)

    def oldest_first(self) -> Iterator[tuple[SessionKey, SessionEntry, float]]:
        """Go through the sessions with the time of their last use, in seconds since 1970."""
        for key, kept in self._kept.items():
            entry = SessionEntry(self._slab.read(kept.slot), kept.last_event_id)
            yield key, entry, kept.used_at

    def restore(self, key: SessionKey, entry: SessionEntry, used_at: float) -> None:
        """Keep a session that was last used at `used_at`; call in that order."""
        if used_at + self._ttl_s >= self._clock():
            self._keep(key, entry, used_at)

    def _keep(self, key: SessionKey, entry: SessionEntry, used_at: float) -> None:
        kept = self._kept.get(key)
        if kept is None:
            self._make_room(used_at)
            kept = _Kept(self._slab.take(), used_at, entry.last_event_id)
            self._kept[key] = kept
        else:
            kept.used_at = used_at
            kept.last_event_id = entry.last_event_id
            self._kept.move_to_end(key)
        self._slab.write(kept.slot, entry.data)
        self._lost.pop(key, None)

    def _make_room(self, now: float) -> None:
        for _ in range(_SWEEP):
            oldest = next(iter(self._kept), None)
            if oldest is None or self._kept[oldest].used_at + self._ttl_s >= now:
                break
            self._drop(oldest)
        if len(self._kept) >= self._max_sessions:
            evicted = next(iter(self._kept))
            self._drop(evicted)
            self.remember_lost(evicted)

    def _drop(self, key: SessionKey) -> None:
        self._slab.give_back(self._kept.pop(key).slot)

"""Session state in the process: bounded, those of one call out first, kept over a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from micromoment.features.state import STATE
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.lost_sessions import LostSessions
from micromoment.stores.session_order import Eviction, SessionOrder
from micromoment.stores.session_slots import SessionSlots

# What one session takes, all included, with ids of 36 characters: its state, 96 bytes of session
# id, 80 of event id, the rest in columns and dictionaries. `benchmarks/sessions.py` measures it.
SESSION_BYTES: Final = 2_900
# The same with ids of 256 bytes, in UTF-8, of whatever characters.
LARGEST_SESSION_BYTES: Final = 4_200
# How many idle sessions one `put` clears away: more than one, so that a backlog shrinks.
_SWEEP: Final = 4


class MemorySessionStore:
    """Keeps up to `max_sessions` sessions, each for `ttl_s` seconds after its last use.

    Of one tenant it keeps up to `max_per_tenant`, by default all. A session takes `SESSION_BYTES`.
    Who makes room is `session_order`'s to tell; up to 2,048 sessions in strict order, above that
    among some 256. One that had to make room is remembered as lost (the last 100,000 of them); one
    that outlived `ttl_s` is not, its visit is over. `clock` gives seconds since 1970; it decides on
    memory alone, never on a feature.
    """

    def __init__(
        self,
        max_sessions: int,
        ttl_s: float,
        *,
        max_per_tenant: int | None = None,
        state_bytes: int = STATE.itemsize,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._order = SessionOrder(max_sessions, max_per_tenant or max_sessions)
        self._slots = SessionSlots(max_sessions, state_bytes)
        self._lost = LostSessions()
        self._evictions = dict.fromkeys(Eviction, 0)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def n_probation(self) -> int:
        """How many of the sessions were not used again after their first call."""
        return self._order.n_probation

    @property
    def evictions(self) -> Mapping[Eviction, int]:
        """How many sessions have gone, by reason."""
        return self._evictions

    @property
    def bytes_held(self) -> int:
        """About how much memory the sessions take, in bytes."""
        return len(self) * SESSION_BYTES

    def get(self, key: SessionKey) -> SessionEntry | None:
        """Give the session, which counts as use."""
        slot = self._order.touch(key)
        if slot is None:
            return None
        slots = self._slots
        now = self._clock()
        if slots.used_at[slot] + self._ttl_s < now:
            self._drop(key, Eviction.EXPIRED)
            return None
        slots.used_at[slot] = now
        return slots.read(slot)

    def put(self, key: SessionKey, entry: SessionEntry) -> None:
        """Keep a copy of `entry`; where there is no room, another session makes it."""
        slot = self._order.touch(key)
        if slot is None:
            self._add(key, entry, self._clock(), protected=False)
        else:
            self._slots.write(slot, entry, self._clock())

    def forget(self, key: SessionKey) -> bool:
        """Erase a session, and that it was ever lost; tell whether it was there."""
        self._lost.discard(key)
        slot = self._order.touch(key)
        if slot is None:
            return False
        self._slots.clear(slot)
        self._drop(key, Eviction.ERASED)
        return True

    def peek(self, key: SessionKey) -> SessionEntry | None:
        """Give the session without that this counts as use."""
        slot = self._order.slot_of(key)
        return None if slot is None else self._slots.read(slot)

    def holding(self, words: Collection[int], offset: int) -> list[SessionKey]:
        """Give the sessions whose states have one of `words`, 64 bits, at this byte."""
        found = self._slots.holding(words, offset)
        if not found:
            return []
        return [
            key
            for protected in (False, True)
            for key, slot in self._order.segment(protected=protected)
            if slot in found
        ]

    def was_evicted(self, key: SessionKey) -> bool:
        """Tell whether the session was known once and lost, as far as that is remembered."""
        return key in self._lost

    def remember_lost(self, key: SessionKey) -> None:
        """Remember that the session was known once and is lost."""
        self._lost.add(key)

    def oldest_first(self) -> Iterator[tuple[SessionKey, SessionEntry, float]]:
        """Go through the sessions with the time of their last use, in seconds since 1970.

        First the `n_probation` ones on probation, then the protected ones; each oldest first.
        """
        slots = self._slots
        for protected in (False, True):
            segment = list(self._order.segment(protected=protected))
            segment.sort(key=lambda one: slots.used_at[one[1]])
            for key, slot in segment:
                yield key, slots.read(slot), slots.used_at[slot]

    def restore(
        self, key: SessionKey, entry: SessionEntry, used_at: float, *, protected: bool
    ) -> None:
        """Keep a session that was last used at `used_at`; call in the order of `oldest_first`."""
        if used_at + self._ttl_s >= self._clock():
            self._add(key, entry, used_at, protected=protected)

    def _add(
        self, key: SessionKey, entry: SessionEntry, used_at: float, *, protected: bool
    ) -> None:
        self._sweep(key, used_at)
        leaving = self._order.leaving_for(key)
        if leaving is not None:
            self._drop(leaving.key, leaving.why)
            self._lost.add(leaving.key)
        slot = self._slots.take()
        self._slots.write(slot, entry, used_at)
        self._order.add(key, slot, protected=protected)
        self._lost.discard(key)

    def _sweep(self, key: SessionKey, now: float) -> None:
        for _ in range(_SWEEP):
            for oldest, slot in self._order.oldest_beside(key):
                if self._slots.used_at[slot] + self._ttl_s < now:
                    self._drop(oldest, Eviction.EXPIRED)
                    break
            else:
                return

    def _drop(self, key: SessionKey, why: Eviction) -> None:
        self._slots.give_back(self._order.remove(key))
        self._evictions[why] += 1

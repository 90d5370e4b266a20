"""Which sessions are lost, as far as that is remembered: the last ones, in memory of fixed size."""

from __future__ import annotations

from array import array
from typing import Final

from micromoment.scoring.calls import SessionKey

MAX_LOST_SESSIONS: Final = 100_000


class LostSessions:
    """Remembers the last `size` keys added, as 64-bit hashes in some 18 bytes each.

    The memory is taken at the start, so nothing ever grows or stops to grow. Two keys have the same
    hash once in 10^14 questions; a session is then called lost that isn't.
    """

    # Places form a ring. Those whose hashes end alike are chained: `_heads` holds the first of each
    # chain, `_after` the next one; places count from 1, 0 ends a chain and marks an empty hash.

    def __init__(self, size: int = MAX_LOST_SESSIONS) -> None:
        self._size = size
        self._mask = (1 << size.bit_length()) - 1
        self._heads = array("i", bytes(4 * (self._mask + 1)))
        self._after = array("i", bytes(4 * (size + 1)))
        self._hashes = array("q", bytes(8 * (size + 1)))
        self._newest = 0

    def __contains__(self, key: SessionKey) -> bool:
        return self._place(_hash(key)) > 0

    def add(self, key: SessionKey) -> None:
        """Remember a key, in place of the one that was added longest ago."""
        hashed = _hash(key)
        self._forget(self._place(hashed))
        place = self._newest = self._newest % self._size + 1
        self._forget(place)
        self._hashes[place] = hashed
        self._after[place] = self._heads[hashed & self._mask]
        self._heads[hashed & self._mask] = place

    def discard(self, key: SessionKey) -> None:
        """Forget a key if it is remembered."""
        self._forget(self._place(_hash(key)))

    def _place(self, hashed: int) -> int:
        place = self._heads[hashed & self._mask]
        while place and self._hashes[place] != hashed:
            place = self._after[place]
        return place

    def _forget(self, place: int) -> None:
        hashed = self._hashes[place]
        if not hashed:
            return
        chain = hashed & self._mask
        if self._heads[chain] == place:
            self._heads[chain] = self._after[place]
        else:
            before = self._heads[chain]
            while self._after[before] != place:
                before = self._after[before]
            self._after[before] = self._after[place]
        self._hashes[place] = 0


def _hash(key: SessionKey) -> int:
    return hash(key) or 1

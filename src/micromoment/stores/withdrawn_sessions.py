"""Which sessions had their consent withdrawn: a hash of each, for as long as a session lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from micromoment.events.hashing import hash_id
from micromoment.scoring.calls import SessionKey
from micromoment.stores.bounded_cache import BoundedCache

MAX_WITHDRAWN: Final = 100_000


class WithdrawnSessions:
    """Remembers the last `size` of them, each for `ttl_s` seconds, by nothing but a 64-bit hash.

    So that a late event that says nothing of consent does not begin such a session again. `clock`
    gives seconds.
    """

    def __init__(
        self,
        ttl_s: float,
        size: int = MAX_WITHDRAWN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hashes: BoundedCache[int, bool] = BoundedCache(size, ttl_s, clock)

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, key: SessionKey) -> bool:
        return self._hashes.get(hash_of(key)) is not None

    def add(self, key: SessionKey) -> None:
        """Remember that the session's consent was withdrawn."""
        self.add_hash(hash_of(key))

    def add_hash(self, hashed: int) -> None:
        """Do the same for a session by its hash."""
        self._hashes.put(hashed, True)

    def discard(self, key: SessionKey) -> None:
        """Forget it: consent was given again."""
        self._hashes.drop(hash_of(key))


def hash_of(key: SessionKey) -> int:
    """Give the 64 bits by which a session is remembered, the same in every process."""
    return hash_id(f"{key.tenant}\0{key.session_id}")

"""Which sessions had their consent withdrawn: a hash of each, for as long as a session lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from micromoment.events.hashing import hash_id
from micromoment.scoring.calls import SessionKey

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
        self._ttl_s = ttl_s
        self._size = size
        self._clock = clock
        # Until when, by this process's own hash, which costs nothing, and by the lasting one.
        self._own: dict[int, float] = {}
        self._lasting: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._own) + len(self._lasting)

    def __contains__(self, key: SessionKey) -> bool:
        # Each call asks, and hardly any session is here.
        until = self._own.get(hash(key))
        if until is None and self._lasting:
            until = self._lasting.get(hash_of(key))
        if until is None:
            return False
        if until > self._clock():
            return True
        self.discard(key)
        return False

    def add(self, key: SessionKey) -> None:
        """Remember that the session's consent was withdrawn."""
        self._add(self._own, hash(key))

    def add_hash(self, hashed: int) -> None:
        """Do the same for a session by its `hash_of`."""
        self._add(self._lasting, hashed)

    def discard(self, key: SessionKey) -> None:
        """Forget it: consent was given again."""
        self._own.pop(hash(key), None)
        if self._lasting:
            self._lasting.pop(hash_of(key), None)

    def _add(self, hashes: dict[int, float], hashed: int) -> None:
        hashes.pop(hashed, None)
        hashes[hashed] = self._clock() + self._ttl_s
        if len(hashes) > self._size:
            del hashes[next(iter(hashes))]


def hash_of(key: SessionKey) -> int:
    """Give the 64 bits by which a session is remembered in a log, the same in every process."""
    return hash_id(f"{key.tenant}\0{key.session_id}")

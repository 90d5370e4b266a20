"""Stops asking a store that has failed several times in a row, for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Breaker:
    """Open for `pause_s` seconds after `failures` failures in a row, and again after each further.

    Any thread may call it.
    """

    def __init__(
        self,
        failures: int = 3,
        pause_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._pause_s = pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._open_until = float("-inf")

    @property
    def is_open(self) -> bool:
        """Tell whether to refrain from asking."""
        return self._clock() < self._open_until

    def admits(self) -> bool:
        """Tell whether to ask now; once open, one caller after each pause tries for all others."""
        with self._lock:
            now = self._clock()
            if now < self._open_until:
                return False
            if self._in_a_row >= self._limit:
                self._open_until = now + self._pause_s
            return True

    def succeeded(self) -> bool:
        """Note an answer; tells whether the breaker had opened before it."""
        with self._lock:
            recovered = self._in_a_row >= self._limit
            self._in_a_row = 0
            self._open_until = float("-inf")
            return recovered

    def failed(self) -> None:
        """Note a failure."""
        with self._lock:
            self._in_a_row += 1
            if self._in_a_row >= self._limit:
                self._open_until = self._clock() + self._pause_s

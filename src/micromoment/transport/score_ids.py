"""Ids of answers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

_NS_PER_MS: Final = 1_000_000
_FRACTION_BITS: Final = 12
_RANDOM_BYTES: Final = 512


class ScoreIds:
    """Makes ids that are unique, rise with time and can't be guessed: UUIDs of version 7.

    The first 60 bits are time, in 4096ths of a millisecond and never twice the same from one
    object; 62 bits are random. `clock_ns` gives nanoseconds since 1970.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._last = 0
        self._random = b""

    def next(self) -> str:
        """Make an id of 36 characters."""
        ticks = (self._clock_ns() << _FRACTION_BITS) // _NS_PER_MS
        self._last = ticks = max(ticks, self._last + 1)
        # Time, 7 for the version, 2 bits for the variant, random bits.
        low = self._random_number() >> 2 | 1 << 63
        digits = f"{ticks >> 12:012x}7{ticks & 0xFFF:03x}{low:016x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _random_number(self) -> int:
        # Asked for many at once: a system call takes as long as all the rest.
        if not self._random:
            self._random = os.urandom(_RANDOM_BYTES)
        number, self._random = self._random[:8], self._random[8:]
        return int.from_bytes(number)

"""Ids of answers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

_NS_PER_MS: Final = 1_000_000
_FRACTION_BITS: Final = 12


class ScoreIds:
    """Makes ids that are unique, rise with time and can't be guessed: UUIDs of version 7.

    The first 60 bits are time, in 4096ths of a millisecond and never twice the same from one
    object; 62 bits are random. `clock_ns` gives nanoseconds since 1970.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._last = 0

    def next(self) -> str:
        """Make an id of 36 characters."""
        ticks = (self._clock_ns() << _FRACTION_BITS) // _NS_PER_MS
        self._last = ticks = max(ticks, self._last + 1)
        time_digits = f"{ticks:015x}"
        random_digits = f"{int.from_bytes(os.urandom(8)) >> 2 | 1 << 63:016x}"
        return (
            f"{time_digits[:8]}-{time_digits[8:12]}-7{time_digits[12:]}"
            f"-{random_digits[:4]}-{random_digits[4:]}"
        )

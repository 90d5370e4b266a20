"""Memory for many records of one size: a few large chunks instead of an array for each record."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_CHUNK_RECORDS: Final = 1_024


class Slab:
    """Numbered slots of `record_bytes` bytes. It grows by chunks of 1,024 and never shrinks."""

    def __init__(self, record_bytes: int) -> None:
        self._record_bytes = record_bytes
        self._chunks: list[npt.NDArray[np.uint8]] = []
        self._free: list[int] = []

    def take(self) -> int:
        """Give a free slot; what it holds is of no meaning."""
        if not self._free:
            first = len(self._chunks) * _CHUNK_RECORDS
            self._chunks.append(np.empty((_CHUNK_RECORDS, self._record_bytes), np.uint8))
            self._free.extend(range(first + _CHUNK_RECORDS - 1, first - 1, -1))
        return self._free.pop()

    def give_back(self, slot: int) -> None:
        """Free a slot that was taken."""
        self._free.append(slot)

    def read(self, slot: int) -> npt.NDArray[np.uint8]:
        """Copy a slot out: shape (record_bytes,)."""
        record: npt.NDArray[np.uint8] = self._chunks[slot // _CHUNK_RECORDS][slot % _CHUNK_RECORDS]
        return record.copy()

    def write(self, slot: int, record: npt.NDArray[Any]) -> None:
        """Copy `record_bytes` bytes in, from a contiguous array of any type."""
        target = self._chunks[slot // _CHUNK_RECORDS][slot % _CHUNK_RECORDS]
        target[:] = record.view(np.uint8)

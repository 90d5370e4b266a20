"""Memory for many records of one size: a few large chunks instead of an array for each record."""

from __future__ import annotations

from typing import Final

_CHUNK_RECORDS: Final = 1_024


class Slab:
    """Numbered slots of `record_bytes` bytes. It grows by chunks of 1,024 and never shrinks."""

    def __init__(self, record_bytes: int) -> None:
        self._record_bytes = record_bytes
        self._chunks: list[memoryview] = []
        self._free: list[int] = []

    def take(self) -> int:
        """Give a free slot; what it holds is of no meaning."""
        if not self._free:
            first = len(self._chunks) * _CHUNK_RECORDS
            self._chunks.append(memoryview(bytearray(_CHUNK_RECORDS * self._record_bytes)))
            self._free.extend(range(first + _CHUNK_RECORDS - 1, first - 1, -1))
        return self._free.pop()

    def give_back(self, slot: int) -> None:
        """Free a slot that was taken."""
        self._free.append(slot)

    def read(self, slot: int) -> bytes:
        """Copy a slot out."""
        chunk, place = divmod(slot, _CHUNK_RECORDS)
        at = place * self._record_bytes
        return bytes(self._chunks[chunk][at : at + self._record_bytes])

    def write(self, slot: int, record: bytes) -> None:
        """Copy in as many bytes as a record has. Raises `ValueError` for more or fewer."""
        chunk, place = divmod(slot, _CHUNK_RECORDS)
        at = place * self._record_bytes
        self._chunks[chunk][at : at + self._record_bytes] = record

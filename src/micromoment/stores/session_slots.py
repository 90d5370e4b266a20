"""Where sessions lie in memory: states in one piece, the rest in columns, no object for each."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Collection
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.errors import InvalidSettingError
from micromoment.scoring.sessions import SessionEntry

# Memory comes page by page as it is first written to; MAP_SHARED would count as shared memory.
_OWN: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class SessionSlots:
    """Numbered places for up to `size` sessions: state, last event's id, time of the last use.

    States are copied into one mapping: as objects of their own they share the heap with all that
    comes and goes between calls, which leaves holes of a sixth of their size. Ids lie in UTF-8, or
    one with a single wide character takes four bytes for each, and in a NumPy array, which the
    garbage collector does not walk as it would a list. Memory grows with the largest number of
    sessions so far and never shrinks. Raises `InvalidSettingError` where `size` states are more
    than the machine grants.
    """

    def __init__(self, size: int, state_bytes: int) -> None:
        self._size = size
        self._state_bytes = state_bytes
        try:
            self._states = mmap.mmap(-1, size * state_bytes, flags=_OWN)
        except (OSError, OverflowError):
            raise InvalidSettingError("max_sessions", "more than there is memory for") from None
        self._event_ids: npt.NDArray[Any] = np.empty(size, object)
        self.used_at = array("d", bytes(8 * size))
        self._unused = 0
        self._free: list[int] = []

    def take(self) -> int:
        """Give a free place; what it holds is of no meaning. Raises `IndexError` for none left."""
        if self._free:
            return self._free.pop()
        if self._unused == self._size:
            raise IndexError("all places are taken")
        self._unused += 1
        return self._unused - 1

    def give_back(self, slot: int) -> None:
        """Free a place that was taken."""
        self._event_ids[slot] = None
        self._free.append(slot)

    def clear(self, slot: int) -> None:
        """Overwrite what a place holds."""
        at = slot * self._state_bytes
        self._states[at : at + self._state_bytes] = bytes(self._state_bytes)

    def holding(self, words: Collection[int], offset: int) -> frozenset[int]:
        """Give the places in use, or given back, whose states have one of `words` at this byte."""
        if not self._unused:
            return frozenset()
        states = np.frombuffer(self._states, np.uint8, self._unused * self._state_bytes)
        rows = states.reshape(self._unused, self._state_bytes)[:, offset : offset + 8]
        column = np.ascontiguousarray(rows).view("<u8").ravel()
        return frozenset(np.flatnonzero(np.isin(column, np.array([*words], np.uint64))).tolist())

    def read(self, slot: int) -> SessionEntry:
        """Copy a session out."""
        at = slot * self._state_bytes
        return SessionEntry(
            self._states[at : at + self._state_bytes], self._event_ids[slot].decode()
        )

    def write(self, slot: int, entry: SessionEntry, used_at: float) -> None:
        """Copy a session in. Raises `IndexError` for a state of another size."""
        at = slot * self._state_bytes
        self._states[at : at + self._state_bytes] = entry.data
        self._event_ids[slot] = entry.last_event_id.encode()
        self.used_at[slot] = used_at

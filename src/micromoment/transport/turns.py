"""Turn-taking among the calls of one session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from micromoment.scoring.calls import SessionKey


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


class Turns:
    """Lets calls of one session pass one after the other, in the order of their arrival."""

    def __init__(self) -> None:
        self._queues: dict[SessionKey, _Queue] = {}

    def __len__(self) -> int:
        return len(self._queues)

    def taken(self, key: SessionKey) -> bool:
        """Tell whether a call of the session is under way or waits."""
        return key in self._queues

    async def settled(self) -> None:
        """Wait until the calls that are under way now have ended."""
        for key in list(self._queues):
            async with self.of(key):
                pass

    @asynccontextmanager
    async def of(self, key: SessionKey) -> AsyncIterator[None]:
        """Wait for the session's turn and hold it."""
        queue = self._queues.setdefault(key, _Queue())
        queue.length += 1
        try:
            async with queue.lock:
                yield
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[key]

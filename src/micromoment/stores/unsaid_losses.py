"""Tells all servers of a session that events of it could not be kept, once Redis is back.

A loss is counted as a write that no state has: every server's own state of the session then lacks
something, and says so. Until that is done, the server that answered those events alone knows.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from redis.exceptions import NoScriptError

from micromoment.background import in_background
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.stores.redis_link import RedisLink

MAX_UNSAID: Final = 10_000
_TOGETHER: Final = 100
_PAUSE_S: Final = 1.0

# Values: how long the count lives (ms), and 1 where one that isn't there isn't begun.
_COUNT_LOSS: Final = b"""
if ARGV[2] == '1' and redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('INCR', KEYS[1])
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""


class UnsaidLosses:
    """The sessions of the last `MAX_UNSAID` losses that Redis does not know of."""

    def __init__(self, link: RedisLink, ttl_ms: int) -> None:
        self._link = link
        self._ttl_ms = ttl_ms
        self._unsaid: dict[bytes, bool] = {}
        self._saying: asyncio.Task[None] | None = None
        self._next_try = float("-inf")

    def __len__(self) -> int:
        return len(self._unsaid)

    def add(self, count: bytes, *, only_if_known: bool = False) -> None:
        """Remember a loss of the session whose writes are counted in the key `count`.

        With `only_if_known` Redis is not told where it counts none there.
        """
        self._unsaid[count] = only_if_known and self._unsaid.get(count, True)
        if len(self._unsaid) > MAX_UNSAID:
            del self._unsaid[next(iter(self._unsaid))]

    def discard(self, count: bytes) -> None:
        """Forget a loss that was said otherwise."""
        self._unsaid.pop(count, None)

    def say(self) -> None:
        """Begin to tell Redis of all; call when it has just answered.

        After a failure nothing is told for a second: a Redis may answer and not take writes.
        """
        is_idle = self._saying is None or self._saying.done()
        if self._unsaid and is_idle and time.monotonic() >= self._next_try:
            self._saying = in_background(self._say_all(), "losses")

    async def close(self) -> None:
        """Stop telling."""
        if self._saying is not None:
            self._saying.cancel()
            await asyncio.wait([self._saying])

    async def _say_all(self) -> None:
        while self._unsaid:
            some = list(self._unsaid.items())[:_TOGETHER]
            said = await asyncio.gather(*(self._say(*one) for one in some))
            for (count, only_if_known), is_said in zip(some, said, strict=True):
                # Meanwhile it may have been lost in earnest.
                if is_said and self._unsaid.get(count) == only_if_known:
                    self.discard(count)
            if not all(said):
                self._next_try = time.monotonic() + _PAUSE_S
                return

    async def _say(self, count: bytes, only_if_known: bool) -> bool:
        try:
            await self._link.ask(b"EVAL", _COUNT_LOSS, 1, count, self._ttl_ms, int(only_if_known))
        except (SessionStoreUnavailableError, NoScriptError):
            return False
        return True

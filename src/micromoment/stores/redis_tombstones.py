"""Tombstones that all servers on one Redis share.

`<prefix>erased` is a sorted set of tombstones by time, in microseconds. `<prefix>erased:version`
changes with every erasure: the scripts that keep sessions and events compare it, so that no server
writes before it knows who was erased. `<prefix>erasing` holds, by a hash of whom, the erasures that
are not done. All three expire `retention_s` seconds after the last erasure.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from micromoment.stores.errors import SessionStoreUnavailableError, TombstonesUnavailableError
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.tombstones import Erasure, Tombstones

_PAGE: Final = 1_000
_MS_PER_SECOND: Final = 1_000
_US_PER_SECOND: Final = 1_000_000

# Keys: the set, the version, the erasures. Values: the time, the oldest time that stays, how long
# keys live (ms), the new version, the erasure's name and what it says, then tombstones.
_KEEP: Final = b"""
for place = 7, #ARGV do
  local before = redis.call('ZSCORE', KEYS[1], ARGV[place])
  if not before or tonumber(before) < tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[1], ARGV[1], ARGV[place])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2])
redis.call('HSET', KEYS[3], ARGV[5], ARGV[6])
redis.call('SET', KEYS[2], ARGV[4])
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[3]) end
return 1
"""


def version_name(prefix: str) -> bytes:
    """Name the key that changes with every erasure."""
    return f"{prefix}erased:version".encode()


class RedisTombstones:
    """What one server knows of them. `changed` is called when it learns of further ones."""

    def __init__(self, prefix: str) -> None:
        self.tombstones = Tombstones()
        self.version = b""
        self.version_key = version_name(prefix)
        self.changed: Callable[[], None] = lambda: None
        self._set = f"{prefix}erased".encode()
        self._lock = asyncio.Lock()

    async def refresh(self, link: RedisLink) -> None:
        """Learn who was erased since. Raises `SessionStoreUnavailableError`."""
        async with self._lock:
            # The version first: what comes meanwhile is seen again.
            version = await link.ask(b"GET", self.version_key) or b""
            if version == self.version:
                return
            # All of them, as erasures are rare: what is found late keeps the time of its beginning.
            place = 0
            while True:
                page = await link.ask(
                    b"ZRANGEBYSCORE", self._set, b"-inf", b"+inf", b"WITHSCORES",
                    b"LIMIT", place, _PAGE,
                )  # fmt: skip
                for mark, score in zip(page[::2], page[1::2], strict=True):
                    self.tombstones.add([mark], round(float(score)))
                if len(page) < 2 * _PAGE:
                    break
                place += _PAGE
            self.version = version
            self.changed()


class RedisRegister:
    """Keeps tombstones and erasures that are under way in Redis, for all its servers."""

    def __init__(
        self, link: RedisLink, shared: RedisTombstones, *, prefix: str, retention_s: float
    ) -> None:
        self._link = link
        self._shared = shared
        self._names = (f"{prefix}erased", shared.version_key, f"{prefix}erasing")
        self._retention_s = retention_s

    @property
    def tombstones(self) -> Tombstones:
        """Those that this server knows."""
        return self._shared.tombstones

    async def begin(self, erasure: Erasure) -> Erasure:
        """Keep the tombstones and that the erasure is under way."""
        try:
            before = await self._link.ask(b"HGET", self._names[2], erasure.name)
        except SessionStoreUnavailableError as error:
            raise TombstonesUnavailableError from error
        begun = replace(erasure, time_us=time.time_ns() // 1_000)
        if before is not None:
            begun = begun.with_sessions(Erasure.from_json(json.loads(before)).sessions)
        await self.go_on(begun)
        return begun

    async def go_on(self, erasure: Erasure) -> None:
        """Keep what was found of it, and learn of it as other servers do."""
        version = f"{time.time_ns()}-{erasure.name}"
        try:
            await self._link.ask(
                b"EVAL", _KEEP, len(self._names), *self._names,
                erasure.time_us,
                erasure.time_us - round(self._retention_s * _US_PER_SECOND),
                max(1, round(self._retention_s * _MS_PER_SECOND)),
                version, erasure.name, json.dumps(erasure.to_json()), *erasure.marks,
            )  # fmt: skip
            self._shared.tombstones.add(erasure.marks, erasure.time_us)
            await self._shared.refresh(self._link)
        except SessionStoreUnavailableError as error:
            raise TombstonesUnavailableError from error

    async def finish(self, erasure: Erasure) -> None:
        """Let go of it."""
        try:
            await self._link.ask(b"HDEL", self._names[2], erasure.name)
        except SessionStoreUnavailableError as error:
            raise TombstonesUnavailableError from error

    async def pending(self) -> list[Erasure]:
        """Give those that are not done."""
        try:
            found = await self._link.ask(b"HVALS", self._names[2])
        except SessionStoreUnavailableError as error:
            raise TombstonesUnavailableError from error
        return [Erasure.from_json(json.loads(one)) for one in found]

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

"""Sessions on Redis, shared by all servers that use it: one key each, compared before it is set.

Key: `<prefix>{<tenant>:<session id>}:v<state version>.<layout>`, so that a state of another format
is neither read nor overwritten. Value: 16 random bytes that are new with every write, the length of
the last event's id (u16, little-endian), that id in UTF-8, and the state. Random versions, not
counted ones: a session that was lost and began anew can never pass for the one remembered.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from typing import Any, Final

import structlog
from redis.exceptions import NoScriptError

from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.stores.interfaces import Held
from micromoment.stores.lost_sessions import LostSessions
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.session_file import StateFormat
from micromoment.stores.sessions import MemorySessionStore

_VERSION_BYTES: Final = 16
_LENGTH: Final = struct.Struct("<H")
_MS_PER_SECOND: Final = 1_000
_KEPT: Final = 1

# Answers 1 when the value was kept, else the value that is there, nil for none.
_REPLACE: Final = b"""
if redis.call('GETRANGE', KEYS[1], 0, 15) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 1
end
return redis.call('GET', KEYS[1])
"""
_REPLACE_SHA: Final = hashlib.sha1(_REPLACE, usedforsecurity=False).hexdigest()

_log = structlog.get_logger(__name__)


class RedisSessionStore:
    """Keeps each session for `ttl_s` seconds after its last event; Redis bounds their number.

    The last `max_recalled` sessions that this server wrote or met are remembered, so that in the
    common case keeping a session takes one round trip and reading it none.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        prefix: str,
        ttl_s: float,
        max_recalled: int,
        state_format: StateFormat | None = None,
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._ttl_ms = max(1, round(ttl_s * _MS_PER_SECOND))
        self._format = state_format or StateFormat()
        self._suffix = f":v{self._format.version}.{self._format.layout}"
        # Each with its version before its state.
        self._recalled = MemorySessionStore(
            max_recalled,
            ttl_s,
            state_bytes=_VERSION_BYTES + self._format.dtype.itemsize,
            clock=time.monotonic,
        )
        self._lost = LostSessions()

    def __len__(self) -> int:
        return len(self._recalled)

    def is_asked(self) -> bool:
        """Tell whether Redis is asked now; False while it is left alone after failures."""
        return self._link.is_asked()

    def recall(self, key: SessionKey) -> Held | None:
        """Give the session as this server last saw it; None when it doesn't remember it."""
        known = self._recalled.get(key)
        if known is None:
            return None
        entry = SessionEntry(known.data[_VERSION_BYTES:], known.last_event_id)
        return Held(known.data[:_VERSION_BYTES], entry)

    async def fetch(self, key: SessionKey) -> Held:
        """Read a session. Raises `SessionStoreUnavailableError`."""
        return self._met(key, await self._link.ask(b"GET", self._name(key)))

    async def replace(self, key: SessionKey, held: Held, entry: SessionEntry) -> Held | None:
        """Keep `entry` in place of what was `held`, and give None.

        Where the store holds something else by now, nothing is kept and that is given. Raises
        `SessionStoreUnavailableError`; the session may then have been kept or not.
        """
        version = os.urandom(_VERSION_BYTES)
        value = _value(version, entry)
        reply = await self._run(self._name(key), held.version, value, self._ttl_ms)
        if reply != _KEPT:
            return self._met(key, reply)
        self._remember(key, version, entry)
        self._lost.discard(key)
        return None

    def was_lost(self, key: SessionKey) -> bool:
        """Tell whether events of the session could not be kept, as far as that is remembered."""
        return key in self._lost

    def remember_lost(self, key: SessionKey) -> None:
        """Remember, until it is kept again, that events of the session could not be kept."""
        self._lost.add(key)

    async def warm_up(self) -> None:
        """Connect and load the script; a Redis that isn't there is logged and tried again."""
        try:
            await self._link.ask(b"SCRIPT", b"LOAD", _REPLACE)
        except SessionStoreUnavailableError:
            return

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    async def _run(self, name: bytes, *arguments: bytes | int) -> Any:  # noqa: ANN401 - Redis's
        try:
            return await self._link.ask(b"EVALSHA", _REPLACE_SHA, 1, name, *arguments)
        except NoScriptError:
            return await self._link.ask(b"EVAL", _REPLACE, 1, name, *arguments)

    def _name(self, key: SessionKey) -> bytes:
        # A tenant with a colon must not reach into another's sessions.
        tenant = key.tenant.replace("%", "%25").replace(":", "%3A")
        return f"{self._prefix}{{{tenant}:{key.session_id}}}{self._suffix}".encode()

    def _met(self, key: SessionKey, value: bytes | None) -> Held:
        if value is None:
            return Held(b"", None)
        try:
            entry = self._entry(value)
        except (struct.error, ValueError):
            _log.warning("session_unreadable", bytes=len(value))
            raise SessionStoreUnavailableError from None
        version = value[:_VERSION_BYTES]
        self._remember(key, version, entry)
        return Held(version, entry)

    def _remember(self, key: SessionKey, version: bytes, entry: SessionEntry) -> None:
        self._recalled.put(key, SessionEntry(version + entry.data, entry.last_event_id))

    def _entry(self, value: bytes) -> SessionEntry:
        start = _VERSION_BYTES + _LENGTH.size
        (length,) = _LENGTH.unpack_from(value, _VERSION_BYTES)
        state = value[start + length :]
        if len(state) != self._format.dtype.itemsize:
            raise ValueError
        return SessionEntry(state, value[start : start + length].decode())


def _value(version: bytes, entry: SessionEntry) -> bytes:
    event_id = entry.last_event_id.encode()
    return version + _LENGTH.pack(len(event_id)) + event_id + entry.data

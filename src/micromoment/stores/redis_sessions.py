"""Sessions on Redis, shared by all servers that use it: compared before they are set.

Each session has two keys, which expire together. `<prefix>{<tenant>:<session id>}:writes` counts
its writes, by servers of any version. `<prefix>{<tenant>:<session id>}:v<state version>.<layout>.3`
is its state as servers with that format of the state left it; other formats are neither read nor
overwritten. Value: 16 random bytes that are new with every write, XXH3 of all that follows (u64),
the write's number (u64), the length of the last event's id (u16), all little-endian, that id in
UTF-8, and the state. A value whose number is not the count lacks what another format wrote
meanwhile; one that is not what it was written as is never answered from.

Random versions beside the count: a session that was lost and began anew can never pass for the one
remembered.

The formats in use are the members of the set `<prefix>formats`, so that a session can be forgotten
in all of them. That it was is told by `<prefix>forgotten:<hash>` for as long as a server may
remember it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import struct
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog
from redis.exceptions import NoScriptError
from xxhash import xxh3_64_intdigest

from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.errors import SessionElsewhereError, SessionStoreUnavailableError
from micromoment.stores.interfaces import Held
from micromoment.stores.log_rows import LogRow
from micromoment.stores.lost_sessions import LostSessions
from micromoment.stores.redis_forgetting import (
    FORGET,
    WITHDRAWN,
    Forgotten,
    forgotten_name,
    formats_name,
    marked,
)
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import StreamLimits, fields_of, stream_name, trimming
from micromoment.stores.redis_tombstones import RedisTombstones
from micromoment.stores.redis_withdrawing import withdrawing_field, withdrawing_name
from micromoment.stores.session_file import StateFormat
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.unsaid_losses import UnsaidLosses

_VERSION_BYTES: Final = 16
_HEAD: Final = struct.Struct("<QH")
_SEQUENCE: Final = struct.Struct("<Q")
_DIGEST: Final = struct.Struct("<Q")
# Of the value above, as its key says it.
_VALUE_FORMAT: Final = 3
_MS_PER_SECOND: Final = 1_000
_KEPT: Final = 1
_ERASED_MEANWHILE: Final = 2

# Answers 1 when the value was kept, 2 when the caller does not know of an erasure, else what is
# there: the value, nil for none, and the count.
_REPLACE: Final = b"""
if (redis.call('GET', KEYS[3]) or '') ~= ARGV[6] then return 2 end
local count = redis.call('GET', KEYS[2]) or '0'
if count ~= ARGV[2] or redis.call('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then
  return {redis.call('GET', KEYS[1]), count}
end
if KEYS[4] then
  redis.call('XADD', KEYS[4], 'MINID', '~', ARGV[7], '*', unpack(ARGV, 10))
  redis.call('XTRIM', KEYS[4], 'MAXLEN', '~', ARGV[8])
  redis.call('PEXPIRE', KEYS[4], ARGV[9])
end
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[5])
return 1
"""
# The same where the session may have begun under another of its ids: their counts are the last
# keys, their number the last argument. Answers 0 when one of them is there.
_BEGIN: Final = (
    b"""
for _ = 1, tonumber(table.remove(ARGV)) do
  if redis.call('EXISTS', table.remove(KEYS)) == 1 then return 0 end
end
"""
    + _REPLACE
)
_ELSEWHERE: Final = 0
_SHAS: Final = {
    one: hashlib.sha1(one, usedforsecurity=False).hexdigest() for one in (_REPLACE, _BEGIN)
}

_log = structlog.get_logger(__name__)


class RedisSessionStore:
    """Keeps each session for `ttl_s` seconds after its last event; Redis bounds their number.

    The last `max_recalled` sessions that this server wrote or met are remembered, so that in the
    common case keeping a session takes one round trip and reading it none. With limits for a `log`,
    the calls that change sessions are logged beside them. Keys of its states end in `suffix`.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        prefix: str,
        ttl_s: float,
        max_recalled: int,
        state_format: StateFormat | None = None,
        log: StreamLimits | None = None,
        erased: RedisTombstones | None = None,
    ) -> None:
        self.erased = erased or RedisTombstones(prefix)
        self._link = link
        self._prefix = prefix
        self._ttl_ms = max(1, round(ttl_s * _MS_PER_SECOND))
        self._format = state_format or StateFormat()
        self.suffix = f":v{self._format.version}.{self._format.layout}.{_VALUE_FORMAT}"
        self._limits = log
        self._stream = stream_name(prefix).encode()
        # Each with its version and number before its state.
        self._recalled = MemorySessionStore(
            max_recalled,
            ttl_s,
            state_bytes=_VERSION_BYTES + _SEQUENCE.size + self._format.dtype.itemsize,
            clock=time.monotonic,
        )
        self._formats = formats_name(prefix)
        self._register_at = float("-inf")
        self._lost = LostSessions()
        self._unsaid = UnsaidLosses(link, self._ttl_ms)

    def __len__(self) -> int:
        return len(self._recalled)

    @property
    def losses_unsaid(self) -> int:
        """How many sessions lack events that the other servers do not yet know of."""
        return len(self._unsaid)

    def is_asked(self) -> bool:
        """Tell whether Redis is asked now; False while it is left alone after failures."""
        return self._link.is_asked()

    def recall(self, key: SessionKey) -> Held | None:
        """Give the session as this server last saw it; None when it doesn't remember it."""
        known = self._recalled.get(key)
        if known is None:
            return None
        start = _VERSION_BYTES + _SEQUENCE.size
        (sequence,) = _SEQUENCE.unpack_from(known.data, _VERSION_BYTES)
        entry = SessionEntry(known.data[start:], known.last_event_id)
        return Held(known.data[:_VERSION_BYTES], entry, sequence)

    async def fetch(self, key: SessionKey) -> Held:
        """Read a session. Raises `SessionStoreUnavailableError`."""
        return (await self.fetch_first((key,)))[1]

    async def fetch_first(self, keys: Sequence[SessionKey]) -> tuple[int, Held]:
        """Read a session that is at one of `keys` at most, in one round trip; give which, and it.

        One whose state is gone counts where none has a state; the first where nothing is known of
        any. Raises `SessionStoreUnavailableError`.
        """
        names: list[bytes] = []
        for key in keys:
            names += (*self._names(key), forgotten_name(self._prefix, self._session(key)))
        values = await self._link.ask(b"MGET", *names)
        self._unsaid.say()
        found = list(zip(values[::3], values[1::3], values[2::3], strict=True))
        for is_there in (lambda value, _: value is not None, lambda _, count: count is not None):
            for place, (value, count, mark) in enumerate(found):
                if is_there(value, count):
                    return place, marked(self._met(keys[place], value, count), mark)
        # The mark of any of its ids is the session's.
        marks = [mark for *_, mark in found if mark is not None]
        return 0, marked(self._met(keys[0], None, None), max(marks, default=None))

    async def forget(self, key: SessionKey, row: LogRow | None = None) -> bool:
        """Erase a session in all formats, log `row`, and tell whether it was there.

        Servers that remember it find that it was forgotten, whether it was there or not. Raises
        `SessionStoreUnavailableError`; it is then forgotten and logged, or neither.
        """
        return (await self._forget(key, row, b"", always=True)).was_there

    async def withdraw(
        self, key: SessionKey, row: LogRow, *, always: bool = False, erases: bool = False
    ) -> Forgotten:
        """Do the same for a session whose consent was withdrawn, which servers then find.

        The row is logged where the session was there, or `always`. Where its calls are to be erased
        from the log, that is under way from then on.
        """
        return await self._forget(key, row, WITHDRAWN, always=always, erases=erases)

    def let_go(self, key: SessionKey) -> None:
        """Remember nothing of a session, not that it was lost either."""
        self._recalled.forget(key)
        self._lost.discard(key)
        self._unsaid.discard(self._names(key)[1])

    async def replace(
        self,
        key: SessionKey,
        held: Held,
        entry: SessionEntry,
        row: LogRow | None = None,
        *,
        others: Sequence[SessionKey] = (),
    ) -> Held | None:
        """Keep `entry` in place of what was `held`, log `row`, and give None.

        Where the store holds something else by now, nothing is kept or logged and that is given;
        `SessionElsewhereError` is raised where it holds the session at one of `others` by now.
        What is there is given, too, when somebody was erased of whom this server did not know yet.
        Raises `SessionStoreUnavailableError`; both may then have been kept, or neither.
        """
        if time.monotonic() >= self._register_at:
            await self._register()
        version, sequence = os.urandom(_VERSION_BYTES), held.sequence + 1
        state, count = self._names(key)
        names = [state, count, self.erased.version_key]
        arguments: list[str | bytes | int] = [
            held.version,
            held.sequence,
            _value(version, sequence, entry),
            sequence,
            self._ttl_ms,
            self.erased.version,
        ]
        if row is not None and self._limits is not None:
            names.append(self._stream)
            arguments += [*trimming(self._limits), *fields_of(row, sequence)]
        script = _REPLACE
        if others:
            script = _BEGIN
            names += [self._names(one)[1] for one in others]
            arguments.append(len(others))
        reply = await self._run(script, len(names), *names, *arguments)
        if reply == _ELSEWHERE:
            raise SessionElsewhereError
        if reply == _ERASED_MEANWHILE:
            await self.erased.refresh(self._link)
            reply = await self._link.ask(b"MGET", state, count)
        if reply != _KEPT:
            return await self._met_instead(key, held, *reply)
        self._remember(key, version, sequence, entry)
        self._lost.discard(key)
        self._unsaid.discard(count)
        self._unsaid.say()
        return None

    def was_lost(self, key: SessionKey) -> bool:
        """Tell whether events of the session could not be kept, as far as that is remembered."""
        return key in self._lost

    def remember_lost(self, key: SessionKey, *, only_if_known: bool = False) -> None:
        """Remember, until it is kept again, that events of the session could not be kept.

        The other servers are told as soon as Redis answers; with `only_if_known` where it has the
        session.
        """
        self._lost.add(key)
        _, count = self._names(key)
        self._unsaid.add(count, only_if_known=only_if_known)

    async def warm_up(self) -> None:
        """Connect and load the script; a Redis that isn't there is logged and tried again."""
        try:
            await self._link.ask(b"SCRIPT", b"LOAD", _REPLACE)
            await self.erased.refresh(self._link)
        except SessionStoreUnavailableError:
            return

    async def close(self) -> None:
        """Close the connection."""
        await self._unsaid.close()
        await self._link.close()

    async def _run(self, script: bytes, *arguments: str | bytes | int) -> Any:  # noqa: ANN401 - Redis's
        try:
            return await self._link.ask(b"EVALSHA", _SHAS[script], *arguments)
        except NoScriptError:
            return await self._link.ask(b"EVAL", script, *arguments)

    def _names(self, key: SessionKey) -> tuple[bytes, bytes]:
        session = self._session(key)
        return f"{session}{self.suffix}".encode(), f"{session}:writes".encode()

    def _session(self, key: SessionKey) -> str:
        return f"{sessions_name(self._prefix, key.tenant)}{key.session_id}}}"

    async def _forget(
        self,
        key: SessionKey,
        row: LogRow | None,
        mark: bytes,
        *,
        always: bool,
        erases: bool = False,
    ) -> Forgotten:
        await self._register()
        session = self._session(key)
        names: list[str | bytes] = [session, self._formats, forgotten_name(self._prefix, session)]
        arguments: list[str | bytes | int] = [self._ttl_ms, mark, int(always)]
        if row is not None and self._limits is not None:
            names.append(self._stream)
            if erases:
                names.append(withdrawing_name(self._prefix))
            arguments += trimming(self._limits)
            arguments += [withdrawing_field(key), *fields_of(row, 0)]
        self.let_go(key)
        gone, entry_id = await self._link.ask(b"EVAL", FORGET, len(names), *names, *arguments)
        self.let_go(key)
        return Forgotten(bool(gone), entry_id.decode())

    async def _register(self) -> None:
        """Let others know of this format while sessions may have it."""
        kept_ms = 2 * self._ttl_ms
        self._register_at = time.monotonic() + self._ttl_ms / _MS_PER_SECOND / 2
        await asyncio.gather(
            self._link.ask(b"SADD", self._formats, self.suffix),
            self._link.ask(b"PEXPIRE", self._formats, kept_ms),
        )

    async def _met_instead(
        self, key: SessionKey, held: Held, value: bytes | None, count: bytes | None
    ) -> Held:
        other = self._met(key, value, count)
        if other.sequence >= held.sequence:
            return other
        # What this server held is there no more: it was lost, or was to be forgotten.
        mark = forgotten_name(self._prefix, self._session(key))
        return marked(other, await self._link.ask(b"GET", mark))

    def _met(self, key: SessionKey, value: bytes | None, count: bytes | None) -> Held:
        try:
            counted = int(count or 0)
            if value is None:
                return Held(b"", None, counted, lost=counted > 0)
            sequence, entry = self._parsed(value)
        except (struct.error, ValueError):
            _log.warning("session_unreadable", bytes=len(value or b""))
            raise SessionStoreUnavailableError from None
        version = value[:_VERSION_BYTES]
        self._remember(key, version, sequence, entry)
        return Held(version, entry, counted, lost=sequence != counted)

    def _remember(
        self, key: SessionKey, version: bytes, sequence: int, entry: SessionEntry
    ) -> None:
        data = version + _SEQUENCE.pack(sequence) + entry.data
        self._recalled.put(key, SessionEntry(data, entry.last_event_id))

    def _parsed(self, value: bytes) -> tuple[int, SessionEntry]:
        (digest,) = _DIGEST.unpack_from(value, _VERSION_BYTES)
        content = value[_VERSION_BYTES + _DIGEST.size :]
        if digest != xxh3_64_intdigest(content):
            raise ValueError
        sequence, length = _HEAD.unpack_from(content)
        state = content[_HEAD.size + length :]
        # Whoever can write to Redis can write a digest, too.
        if not self._format.can_be(state):
            raise ValueError
        return sequence, SessionEntry(state, content[_HEAD.size : _HEAD.size + length].decode())


def sessions_name(prefix: str, tenant: str) -> str:
    """Give what the keys of a tenant's sessions begin with; the session id and a brace follow."""
    # A tenant with a colon must not reach into another's sessions.
    escaped = tenant.replace("%", "%25").replace(":", "%3A")
    return f"{prefix}{{{escaped}:"


def _value(version: bytes, sequence: int, entry: SessionEntry) -> bytes:
    event_id = entry.last_event_id.encode()
    content = _HEAD.pack(sequence, len(event_id)) + event_id + entry.data
    return version + _DIGEST.pack(xxh3_64_intdigest(content)) + content

"""Events outside a visit on Redis: one stream, `<prefix>log:outside`, for all servers.

An event's id is remembered beside it for as long as the event is kept, so that it is stored once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from redis.exceptions import NoScriptError

from micromoment.errors import InvalidDataError
from micromoment.stores.errors import EventLogUnavailableError, SessionStoreUnavailableError
from micromoment.stores.event_log import Appended, LoggedEvent
from micromoment.stores.redis_erasing import erase_events
from micromoment.stores.redis_keys import DEFAULT_PREFIX
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import StreamLimits, read_entries, stream_name, trimming
from micromoment.stores.redis_tombstones import RedisTombstones

# Answers how many of the events had not been stored before, or -1 when somebody was erased whom the
# caller does not know of. Values come five to an event.
_APPEND: Final = b"""
if (redis.call('GET', KEYS[2]) or '') ~= ARGV[4] then return -1 end
local stored = 0
for place = 3, #KEYS do
  if redis.call('SET', KEYS[place], '', 'NX', 'PX', ARGV[3]) then
    local at = 5 + (place - 3) * 5
    redis.call('XADD', KEYS[1], 'MINID', '~', ARGV[1], '*',
      'time', ARGV[at], 'tenant', ARGV[at + 1], 'visitor', ARGV[at + 2], 'id', ARGV[at + 3],
      'event', ARGV[at + 4])
    stored = stored + 1
  end
end
if stored > 0 then
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return stored
"""
# Erasures that may come between two tries.
_MAX_TRIES: Final = 8
_APPEND_SHA: Final = hashlib.sha1(_APPEND, usedforsecurity=False).hexdigest()


class RedisOutsideVisitLog:
    """Takes events that belong to no session, as durably as Redis is set to."""

    def __init__(
        self,
        link: RedisLink,
        *,
        prefix: str,
        limits: StreamLimits,
        erased: RedisTombstones | None = None,
    ) -> None:
        self._link = link
        self._erased = erased or RedisTombstones(prefix)
        self._prefix = prefix
        self._stream = outside_stream_name(prefix).encode()
        self._limits = limits

    async def append(self, events: Sequence[LoggedEvent]) -> Appended:
        """Store all events that are not late, or none; give what became of them.

        Raises `EventLogUnavailableError`; they may then have been stored or not.
        """
        try:
            for _ in range(_MAX_TRIES):
                in_time = [one for one in events if not self._is_late(one)]
                stored = await self._append(in_time)
                if stored >= 0:
                    return Appended(stored, len(events) - len(in_time))
                await self._erased.refresh(self._link)
        except SessionStoreUnavailableError as error:
            raise EventLogUnavailableError from error
        raise EventLogUnavailableError

    async def _append(self, events: Sequence[LoggedEvent]) -> int:
        names = [self._stream, self._erased.version_key, *map(self._name, events)]
        arguments: list[str | bytes | int] = [*trimming(self._limits), self._erased.version]
        for event in events:
            arguments += [
                event.received_time_us, event.tenant, event.visitor_id, event.event_id, event.event,
            ]  # fmt: skip
        return await self._run(names, arguments)

    def _is_late(self, event: LoggedEvent) -> bool:
        ids = {event.visitor_id, *event.visitor_forms}
        until = self._erased.tombstones.until((), event.tenant, ids)
        return until > 0 and event.time_us <= until

    async def erase(self, tenant: str, visitors: Collection[str]) -> int:
        """Remove all events of visitors, and that they were told; give how many there were.

        Raises `EventLogUnavailableError`; doing it again removes what is left.
        """
        try:
            told = await erase_events(self._link, self._stream.decode(), tenant, visitors)
            for event_id in told:
                await self._link.ask(b"DEL", self._name_of(tenant, event_id))
        except SessionStoreUnavailableError as error:
            raise EventLogUnavailableError from error
        return len(told)

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    async def _run(self, names: list[bytes], arguments: list[str | bytes | int]) -> int:
        try:
            stored = await self._link.ask(b"EVALSHA", _APPEND_SHA, len(names), *names, *arguments)
        except NoScriptError:
            stored = await self._link.ask(b"EVAL", _APPEND, len(names), *names, *arguments)
        return int(stored)

    def _name(self, event: LoggedEvent) -> bytes:
        return self._name_of(event.tenant, event.event_id)

    def _name_of(self, tenant: str, event_id: str) -> bytes:
        # Hashed: callers choose ids, and a key must not be of their making.
        told = f"{tenant}\0{event_id}".encode()
        return f"{self._prefix}outside:{hashlib.sha256(told).hexdigest()[:32]}".encode()


def outside_stream_name(prefix: str) -> str:
    """Name the stream of events outside visits of the servers that use `prefix`."""
    return f"{stream_name(prefix)}:outside"


def read_outside_stream(
    url: str, *, prefix: str = DEFAULT_PREFIX
) -> Iterator[tuple[int, LoggedEvent]]:
    """Go through the events in the Redis at `url` with their numbers, in order of arrival.

    Raises `InvalidDataError` for a Redis that fails and for a damaged entry.
    """
    entries = read_entries(url, outside_stream_name(prefix))
    for number, (entry_id, fields) in enumerate(entries, start=1):
        try:
            yield (
                number,
                LoggedEvent(
                    int(fields[b"time"]),
                    fields[b"tenant"].decode(),
                    fields[b"visitor"].decode(),
                    fields[b"id"].decode(),
                    fields[b"event"],
                ),
            )
        except (KeyError, ValueError):
            where = f"event log in Redis, entry {entry_id.decode()}"
            raise InvalidDataError(where, "is none of this format") from None

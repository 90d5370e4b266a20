"""The event log on Redis: one stream, `<prefix>log`, for all servers that share their sessions.

An entry is a row of the log and the number of its write among those of its session. It is appended
by the script that keeps the session, so that neither is there without the other. Numbers go up by
one from 1: where one is missing, the log lacks a call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from micromoment.errors import InvalidDataError
from micromoment.scoring.calls import SessionKey
from micromoment.stores.log_rows import LoggedVisit, LogRow, RowKind
from micromoment.stores.redis_keys import DEFAULT_PREFIX

_MS_PER_SECOND: Final = 1_000
_PAGE: Final = 1_000
_ANSWER_S: Final = 10.0
_SAME_MS_BITS: Final = 20  # of an id's second part: so many entries in one millisecond


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """When entries go: by age in seconds, and the oldest beyond so many."""

    retention_s: float
    max_entries: int


def is_redis(source: str) -> bool:
    """Tell whether a log is named by the URL of a Redis."""
    return source.startswith(("redis://", "rediss://"))


def stream_name(prefix: str) -> str:
    """Name the stream of the servers that use `prefix`."""
    return f"{prefix}log"


def trimming(limits: StreamLimits) -> tuple[int, int, int]:
    """Give the least id and the number of entries that may stay, and how long the stream may.

    The id is milliseconds since 1970, the time to live of a stream that nobody writes milliseconds.
    """
    retention_ms = round(limits.retention_s * _MS_PER_SECOND)
    oldest_ms = max(0, round(time.time() * _MS_PER_SECOND) - retention_ms)
    return oldest_ms, limits.max_entries, max(1, retention_ms)


def fields_of(row: LogRow, sequence: int) -> tuple[str | bytes | int, ...]:
    """Write a row as the fields of an entry: names and values in turn."""
    return (
        "time", row.received_time_us,
        "kind", int(row.kind),
        "tenant", row.tenant,
        "session", row.session_id,
        "visitor", row.visitor_id,
        "sequence", sequence,
        "body", row.body,
    )  # fmt: skip


def entry_id_of(position: int) -> str:
    """Give the id of the entry at a row's position; a gap's is that of the entry after it."""
    both = position >> 1
    return f"{both >> _SAME_MS_BITS}-{both & (1 << _SAME_MS_BITS) - 1}"


def read_stream(url: str, *, prefix: str = DEFAULT_PREFIX) -> Iterator[LoggedVisit]:
    """Go through the log in the Redis at `url`, in the order of arrival.

    Where a session's numbers leave one out, a row of kind `GAP` stands first; so it does where the
    session's beginning is no longer there. Raises `InvalidDataError` for a Redis that fails and for
    a damaged entry.
    """
    last: dict[SessionKey, int] = {}
    for entry_id, fields in read_entries(url, stream_name(prefix)):
        visit, sequence = _visit(entry_id, fields)
        key = visit.key
        if visit.kind == RowKind.WENT_ON and sequence != last.get(key, 0) + 1:
            yield LoggedVisit(
                visit.position - 1, visit.received_time_us, RowKind.GAP, *key, "", b""
            )
        last[key] = sequence
        yield visit


def read_entries(url: str, name: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    """Go through a stream's entries with their ids, page by page.

    Raises `InvalidDataError` for a Redis that fails.
    """
    after = "-"
    try:
        client = Redis.from_url(url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S)
        with closing(client):
            while True:
                page: Any = client.xrange(name, min=after, count=_PAGE)
                yield from page
                if len(page) < _PAGE:
                    return
                after = f"({page[-1][0].decode()}"
    except (RedisError, ValueError) as error:
        # Not its text: a URL may hold a password.
        where = f"event log in Redis{_place(url)}"
        raise InvalidDataError(where, type(error).__name__) from None


def _place(url: str) -> str:
    """Say where a Redis is, without what may be a password; nothing where that is in doubt."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    place = parts.netloc.rpartition("@")[2]
    # A password with a slash or the like, not written as %2F, ends the part that names the host.
    return f" at {place}" if place and "@" not in parts.path + parts.query + parts.fragment else ""


def _visit(entry_id: bytes, fields: dict[bytes, bytes]) -> tuple[LoggedVisit, int]:
    try:
        ms, _, number = entry_id.partition(b"-")
        visit = LoggedVisit(
            # Every other place: the one before is a gap's.
            2 * (int(ms) << _SAME_MS_BITS | int(number)) + 1,
            int(fields[b"time"]),
            RowKind(int(fields[b"kind"])),
            fields[b"tenant"].decode(),
            fields[b"session"].decode(),
            fields[b"visitor"].decode(),
            fields[b"body"],
        )
        return visit, int(fields[b"sequence"])
    except (KeyError, ValueError):
        where = f"event log in Redis, entry {entry_id.decode()}"
        raise InvalidDataError(where, "is none of this format") from None

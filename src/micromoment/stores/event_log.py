"""Events outside a visit, append-only, in one SQLite file.

They belong to no session, so nothing folds them: an order from the order service, a refund, an
opened mail. Training reads them from here.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from micromoment.errors import InvalidDataError
from micromoment.events.proto_codec import micros_of
from micromoment.stores.errors import EventLogUnavailableError
from micromoment.stores.secure_sqlite import erasing, parts
from micromoment.v1 import events_pb2

# The file's name in the folder of a server's event log.
OUTSIDE_FILE: Final = "outside_visits.sqlite"
_EXPIRY_S: Final = 3_600.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outside_visit_events (
    sequence INTEGER PRIMARY KEY,
    received_time INTEGER NOT NULL,  -- microseconds since 1970
    tenant TEXT NOT NULL,
    visitor_id TEXT NOT NULL,  -- encoded
    event_id TEXT NOT NULL,
    event BLOB NOT NULL,  -- micromoment.v1.Event
    UNIQUE (tenant, event_id)
)
"""
_READ: Final = """
SELECT sequence, received_time, tenant, visitor_id, event_id, event
FROM outside_visit_events ORDER BY sequence
"""
_APPEND: Final = """
INSERT INTO outside_visit_events (received_time, tenant, visitor_id, event_id, event)
VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, event_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event to append; `event` is a serialized `micromoment.v1.Event`.

    `visitor_forms` are all ids under which its visitor may have been erased, beside `visitor_id`,
    under which it is stored; they are not stored.
    """

    received_time_us: int
    tenant: str
    visitor_id: str
    event_id: str
    event: bytes
    visitor_forms: tuple[str, ...] = field(default=(), compare=False)

    @property
    def time_us(self) -> int:
        """When it happened, in microseconds since 1970."""
        return micros_of(events_pb2.Event.FromString(self.event).event_time)


class Appended(NamedTuple):
    """What became of events: `stored` had not been before, `late` came after an erasure.

    Late ones are from before their visitor was erased, and left out; the others are duplicates.
    """

    stored: int
    late: int


class EventLog(Protocol):
    """Takes events that belong to no session."""

    async def append(self, events: Sequence[LoggedEvent]) -> Appended:
        """Store all events durably that are not late, or none; give what became of them.

        Raises `EventLogUnavailableError` or, where there is no log, `EventLogMissingError`.
        """

    async def erase(self, tenant: str, visitors: Collection[str]) -> int:
        """Remove all events of visitors, by encoded ids; give how many there were.

        Raises `EventLogUnavailableError`; doing it again removes what is left.
        """

    async def close(self) -> None:
        """Release what is held."""


class OutsideVisitLog:
    """An SQLite file in WAL mode. One thread writes, so that no caller waits on the event loop.

    Events older than `retention_s` seconds go, once an hour while others come.
    """

    def __init__(
        self, path: Path, *, busy_timeout_s: float = 0.5, retention_s: float | None = None
    ) -> None:
        self._path = path
        self._retention_s = retention_s
        self._next_expiry = float("-inf")
        self._busy_timeout_s = busy_timeout_s
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="event-log")
        self._connection: sqlite3.Connection | None = None

    async def append(self, events: Sequence[LoggedEvent]) -> Appended:
        """Store all events durably, or none. None is late: its server alone erases."""
        loop = asyncio.get_running_loop()
        try:
            stored = await loop.run_in_executor(self._writer, self._append, events)
            return Appended(stored, 0)
        except (sqlite3.Error, OSError) as error:
            raise EventLogUnavailableError from error

    async def erase(self, tenant: str, visitors: Collection[str]) -> int:
        """Remove all events of visitors so that none of their bytes stay; give how many."""
        loop = asyncio.get_running_loop()
        work = partial(erase_outside_events, self._path, tenant, visitors)
        try:
            return await loop.run_in_executor(self._writer, work)
        except (sqlite3.Error, OSError) as error:
            raise EventLogUnavailableError from error

    async def close(self) -> None:
        """Close the file once what was begun is written."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._close)
        self._writer.shutdown(wait=False)

    def _append(self, events: Sequence[LoggedEvent]) -> int:
        connection = self._connection = self._connection or self._open()
        self._expire(connection)
        with connection, closing(connection.cursor()) as cursor:
            before = connection.total_changes
            cursor.executemany(
                _APPEND,
                [(e.received_time_us, e.tenant, e.visitor_id, e.event_id, e.event) for e in events],
            )
            return connection.total_changes - before

    def _expire(self, connection: sqlite3.Connection) -> None:
        """Remove what is too old, once an hour; `secure_delete` leaves none of it in the file."""
        if self._retention_s is None or time.monotonic() < self._next_expiry:
            return
        self._next_expiry = time.monotonic() + _EXPIRY_S
        oldest_us = round((time.time() - self._retention_s) * 1e6)
        with connection:
            connection.execute(
                "DELETE FROM outside_visit_events WHERE received_time < ?", (oldest_us,)
            )

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=self._busy_timeout_s)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # With WAL only FULL keeps an acknowledged event over a power cut.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = 1")
            connection.execute(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def erase_outside_events(path: Path, tenant: str, visitors: Collection[str]) -> int:
    """Remove visitors' events from a file that a server may write; give how many.

    Ids are encoded. None of their bytes stay. Raises `sqlite3.Error`.
    """
    if not path.exists():
        return 0
    removed = 0
    with erasing(path) as connection:
        for some in parts(visitors):
            marks = ", ".join("?" * len(some))
            # nosemgrep: no-values-in-sql - marks alone
            removed += connection.execute(
                f"DELETE FROM outside_visit_events WHERE tenant = ? AND visitor_id IN ({marks})",  # noqa: S608 - marks  # nosec B608
                (tenant, *some),
            ).rowcount
    return removed


def read_outside_visits(path: Path) -> Iterator[tuple[int, LoggedEvent]]:
    """Go through the events of a file with their numbers, in order of arrival.

    A server may go on writing. Raises `InvalidDataError` for a damaged file.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA query_only = 1")
            for sequence, *fields in connection.execute(_READ):
                yield sequence, LoggedEvent(*fields)
    except sqlite3.DatabaseError as error:
        raise InvalidDataError(str(path), f"can't be read as an event log: {error}") from None

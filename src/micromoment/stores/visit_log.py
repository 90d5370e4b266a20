"""The event log of one server: calls are appended as they arrive and committed in groups.

The event loop hands rows over; a thread of the log's own writes all that have come meanwhile in one
transaction. Whoever must not be answered before a row is kept waits for `barrier`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import structlog

from micromoment.scoring.calls import SessionKey
from micromoment.stores.durability import Durability
from micromoment.stores.errors import EventLogUnavailableError
from micromoment.stores.log_erasing import ErasedFromLog, erase_calls, is_in_newest, sessions_of
from micromoment.stores.log_rows import LogRow, RowKind, erased_row, everybodys_gap
from micromoment.stores.log_segments import LogFolder, LogLimits, SegmentWriter
from micromoment.stores.log_writer import LogWriter

# Rows that may wait to be written; beyond, the log counts as failing.
MAX_WAITING: Final = 100_000
# Sessions of which a gap is remembered one by one; beyond, it is everybody's.
MAX_GAP_SESSIONS: Final = 100_000
# Callers wait for a group as long as calls keep coming, up to so many and so long.
_GROUP: Final = 64
_GATHER_S: Final = 0.002
# Nobody waits for a group with `async`.
_GATHER_ASYNC_S: Final = 0.02
_RETRY_S: Final = 1.0
_CLOSE_S: Final = 5.0
# Stands in the folder while the log lacks rows that it has not yet said it lacks.
GAP_FILE: Final = "gap"
_SPARE_FILE: Final = "intact"

_log = structlog.get_logger(__name__)


class VisitLog(Protocol):
    """Takes calls in the order of their arrival; belongs to one event loop."""

    @property
    def is_on(self) -> bool:
        """Tell whether rows are kept at all."""

    def append(self, row: LogRow) -> None:
        """Take a row; never waits and never raises."""

    def barrier(self) -> asyncio.Future[bool] | bool:
        """Tell whether what was appended so far is kept, as durably as was asked for.

        True at once, False where rows are not taken, else what to wait for.
        """

    async def erase(
        self, tenant: str, *, visitors: Collection[str] = (), sessions: Collection[str] = ()
    ) -> ErasedFromLog:
        """Blank the rows of visitors, of all sessions in which they occur, and of sessions.

        Also those that wait to be written; ids are encoded. Raises `EventLogUnavailableError` where
        some could not be: doing it again does the rest.
        """


class LogObserver(Protocol):
    """Takes note of the log's work."""

    def log_written(self, rows: int, seconds: float) -> None:
        """Take note of rows that were committed together."""

    def log_lost(self, rows: int) -> None:
        """Take note of rows that could not be kept."""


@dataclass(slots=True)
class _Group:
    rows: list[LogRow] = field(default_factory=list)
    waiting: list[asyncio.Future[bool]] = field(default_factory=list)
    began: float = 0.0

    def settle(self, kept: bool) -> None:
        for one in self.waiting:
            if not one.done():
                one.set_result(kept)


class SqliteVisitLog:
    """A log in SQLite segments. Raises `InvalidSettingError` where the folder can't be had.

    `commit` and `fsync` let callers wait until a row is written, `async` does not. When a write
    fails, rows are dropped for a second, then it is tried again; of each session that lost rows a
    gap is written first. Were the process to die before, a file in the folder tells of it.
    """

    def __init__(
        self,
        folder: Path,
        durability: Durability,
        limits: LogLimits,
        observer: LogObserver,
        *,
        clock_us: Callable[[], int],
    ) -> None:
        self._folder = LogFolder(folder)
        try:
            segments = SegmentWriter(folder, durability, limits)
        except BaseException:
            self._folder.close()
            raise
        self._writer = LogWriter(segments, self._written)
        self._is_whole = segments.is_whole
        self._path = folder
        self._waits = durability != "async"
        self._observer = observer
        self._clock_us = clock_us
        self._pending = _Group()
        self._writing: _Group | None = None
        self._gap: set[SessionKey] = set()
        self._gap_writing: set[SessionKey] = set()
        # Of those, which were to be erased: the row that says so must not be lost.
        self._unsaid: set[SessionKey] = set()
        self._retry_at = 0.0
        self._is_failing = False
        self._is_scheduled = False
        self._is_closing = False
        self._retry: asyncio.TimerHandle | None = None
        self._erasing = asyncio.Lock()
        self._settle_gap()

    @property
    def is_on(self) -> bool:
        """Tell that rows are kept."""
        return True

    @property
    def last_position(self) -> int:
        """The place of the last row that was written."""
        return self._writer.last_position

    @property
    def is_taking(self) -> bool:
        """Tell whether rows are taken now; False while writing fails."""
        return not self._is_failing

    @property
    def rows_waiting(self) -> int:
        """How many rows are not yet written."""
        return len(self._pending.rows) + (len(self._writing.rows) if self._writing else 0)

    @property
    def lag_s(self) -> float:
        """For how long, in seconds, the oldest of them has waited."""
        oldest = self._writing or (self._pending if self._pending.rows else None)
        return time.monotonic() - oldest.began if oldest else 0.0

    def append(self, row: LogRow) -> None:
        """Take a row; where it can't be kept, its session's gap is remembered."""
        if self._is_failing and time.monotonic() < self._retry_at:
            self._lose([row])
            return
        pending = self._pending
        if len(pending.rows) >= MAX_WAITING:
            self._fail([row], "too many rows wait")
            return
        if not pending.rows:
            pending.began = time.monotonic()
        pending.rows.append(row)
        self._schedule()

    def barrier(self) -> asyncio.Future[bool] | bool:
        """Tell whether what was appended so far is kept, or what to wait for."""
        group = self._pending if self._pending.rows else self._writing
        if not self._waits or group is None:
            return not self._is_failing
        kept: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        group.waiting.append(kept)
        return kept

    async def erase(
        self, tenant: str, *, visitors: Collection[str] = (), sessions: Collection[str] = ()
    ) -> ErasedFromLog:
        """Blank the rows of visitors, of all sessions in which they occur, and of sessions.

        Also those that wait to be written; ids are encoded. Raises `EventLogUnavailableError` where
        some could not be: doing it again does the rest.
        """
        if not await self._written_so_far():
            raise EventLogUnavailableError
        try:
            async with self._erasing:
                whose = {"visitors": visitors, "sessions": sessions}
                # Writing a file anew takes long: not the one that takes the rows.
                if await asyncio.to_thread(is_in_newest, self._path, tenant, **whose):
                    await self._writer.go_on_in_another()
                return await asyncio.to_thread(erase_calls, self._path, tenant, **whose)
        except (sqlite3.Error, OSError) as error:
            _log.error("event_log_not_erased", reason=str(error))
            raise EventLogUnavailableError from error

    async def sessions_of(self, tenant: str, visitors: Collection[str]) -> frozenset[str]:
        """Give the sessions in which a visitor occurs, also those whose rows wait to be written.

        Ids are encoded. Raises `EventLogUnavailableError`.
        """
        if not await self._written_so_far():
            raise EventLogUnavailableError
        try:
            return await asyncio.to_thread(sessions_of, self._path, tenant, visitors)
        except (sqlite3.Error, OSError) as error:
            raise EventLogUnavailableError from error

    async def close(self, within_s: float = _CLOSE_S) -> None:
        """Write what waits, say what is missing, and close the files.

        What is not written within so many seconds is missing; a file in the folder tells of it.
        """
        await self.write_out(within_s)
        await asyncio.to_thread(self._end, self.rows_waiting)

    async def write_out(self, within_s: float) -> None:
        """Write what waits and say what is missing, as far as the seconds do; close it then."""
        deadline = time.monotonic() + within_s
        self._retry_at = 0.0
        self._is_closing = True
        if self._retry is not None:
            self._retry.cancel()
        while self.rows_waiting and time.monotonic() < deadline:
            kept = asyncio.get_running_loop().create_future()
            (self._writing or self._pending).waiting.append(kept)
            self._schedule()
            with suppress(TimeoutError):
                await asyncio.wait_for(kept, max(0.0, deadline - time.monotonic()))
        if self._gap and not self._writing:
            self._pending.began = time.monotonic()
            kept = asyncio.get_running_loop().create_future()
            self._pending.waiting.append(kept)
            self._submit()
            with suppress(TimeoutError):
                await asyncio.wait_for(kept, max(0.0, deadline - time.monotonic()))

    async def _written_so_far(self) -> bool:
        """Wait for the rows that were appended so far; tell whether they are written."""
        group = self._pending if self._pending.rows else self._writing
        if group is None:
            return not self._is_failing
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        group.waiting.append(written)
        return await written

    def _settle_gap(self) -> None:
        """Say in the log what a process that is gone could not say: anybody's rows may lack."""
        with suppress(OSError):
            if (self._path / GAP_FILE).exists() or not self._is_whole:
                with suppress(sqlite3.Error):
                    self._writer.write_now([everybodys_gap(self._clock_us())])
                    (self._path / GAP_FILE).unlink(missing_ok=True)
            (self._path / _SPARE_FILE).touch()

    def _schedule(self) -> None:
        """Let what comes now go together: a group costs about as much as a call, however large."""
        if self._writing is not None or self._is_scheduled:
            return
        loop = asyncio.get_running_loop()
        self._is_scheduled = True
        if self._waits:
            loop.call_soon(self._gather, 0)
        else:
            loop.call_later(_GATHER_ASYNC_S, self._submit)

    def _gather(self, before: int) -> None:
        """Hand over once a turn of the event loop brings no further row, or enough have come."""
        pending = self._pending
        come = len(pending.rows)
        if before < come < _GROUP and time.monotonic() - pending.began < _GATHER_S:
            asyncio.get_running_loop().call_soon(self._gather, come)
        else:
            self._submit()

    def _submit(self) -> None:
        self._is_scheduled = False
        if self._writing is not None:
            return
        self._writing, self._pending = self._pending, _Group()
        self._gap_writing, self._gap = self._gap, set()
        self._writer.submit([*self._gap_rows(), *self._writing.rows])

    def _written(self, error: Exception | None) -> None:
        group, self._writing = self._writing, None
        if group is None:
            return
        if error is None:
            if self._is_failing:
                self._mend()
            self._unsaid -= self._gap_writing
            self._observer.log_written(len(group.rows), time.monotonic() - group.began)
        else:
            self._gap |= self._gap_writing
            self._fail(group.rows, str(error))
        self._gap_writing = set()
        group.settle(error is None)
        if self._pending.rows:
            self._schedule()

    def _fail(self, rows: Sequence[LogRow], reason: str) -> None:
        self._retry_at = time.monotonic() + _RETRY_S
        if self._retry is None and not self._is_closing:
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(_RETRY_S + _GATHER_ASYNC_S, self._try_again)
        if not self._is_failing:
            self._is_failing = True
            _log.error("event_log_failed", reason=reason)
            self._say_gap()
        self._lose(rows)

    def _say_gap(self) -> None:
        # Needs no room on a full disk.
        with suppress(OSError):
            (self._path / _SPARE_FILE).rename(self._path / GAP_FILE)

    def _try_again(self) -> None:
        """Say what is missing also where no call comes."""
        self._retry = None
        if self._is_failing and self._writing is None and not self._is_scheduled:
            self._submit()

    def _lose(self, rows: Sequence[LogRow]) -> None:
        for row in rows:
            key = SessionKey(row.tenant, row.session_id)
            self._gap.add(key)
            if row.kind is RowKind.ERASED and len(self._unsaid) < MAX_GAP_SESSIONS:
                self._unsaid.add(key)
        self._observer.log_lost(len(rows))

    def _mend(self) -> None:
        self._is_failing = False
        _log.info("event_log_available")
        with suppress(OSError):
            (self._path / GAP_FILE).rename(self._path / _SPARE_FILE)

    def _gap_rows(self) -> list[LogRow]:
        now = self._clock_us()
        erased = self._unsaid & self._gap_writing
        rows = [erased_row(now, key) for key in erased]
        keys = self._gap_writing - erased
        if len(keys) > MAX_GAP_SESSIONS:
            return [*rows, everybodys_gap(now)]
        rows += [LogRow(now, RowKind.GAP, key.tenant, key.session_id, "", b"") for key in keys]
        return rows

    def _end(self, waiting: int) -> None:
        # Off the event loop, which a disk that hangs must not hold up.
        if waiting:
            _log.error("event_log_cut_off", rows=waiting)
            self._observer.log_lost(waiting)
            self._say_gap()
        self._writer.close()
        self._folder.close()

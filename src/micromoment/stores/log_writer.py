"""The threads of an event log: one writes groups of rows, the other looks after the files."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

import structlog

from micromoment.stores.log_rows import LogRow, everybodys_gap
from micromoment.stores.log_segments import SegmentWriter

UPKEEP_S: Final = 1.0
_CLOSE_S: Final = 5.0
_WARNING_PERIOD_S: Final = 30.0

_log = structlog.get_logger(__name__)


class LogWriter:
    """Writes rows with `segments` off the event loop, one group after the other.

    `written` is called on the event loop after each group, with what went wrong or None.
    """

    def __init__(
        self, segments: SegmentWriter, written: Callable[[Exception | None], None]
    ) -> None:
        self._segments = segments
        self._written = written
        self._work: queue.SimpleQueue[list[LogRow] | Future[None] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self._full = threading.Event()
        self._gone = threading.Event()
        self._next_warning = float("-inf")
        self._writing = threading.Thread(target=self._write_all, daemon=True, name="event-log")
        self._upkeep = threading.Thread(target=self._keep_up, daemon=True, name="event-log-upkeep")

    def submit(self, rows: list[LogRow]) -> None:
        """Hand a group over; belongs to the event loop. An empty group is written at once."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._writing.start()
            self._upkeep.start()
        self._work.put(rows)

    def write_now(self, rows: Sequence[LogRow]) -> None:
        """Write rows before the threads begin. Raises `sqlite3.Error`."""
        self._segments.write(rows)

    async def go_on_in_another(self) -> None:
        """Begin another file for the rows to come; belongs to the event loop.

        Raises `sqlite3.Error` and `OSError`.
        """
        if self._loop is None:
            self._segments.rotate()
            return
        begun: Future[None] = Future()
        self._work.put(begun)
        await asyncio.wrap_future(begun)

    @property
    def last_position(self) -> int:
        """The place of the last row that was written."""
        return self._segments.last_position

    def close(self) -> None:
        """Write what was handed over, end the threads and close the files; waits for that."""
        self._ended.set()
        if self._loop is not None:
            self._work.put(None)
            self._writing.join(_CLOSE_S)
            self._upkeep.join(_CLOSE_S)
        self._segments.close()

    def _write_all(self) -> None:
        loop = self._loop
        while loop is not None and (rows := self._work.get()) is not None:
            error: Exception | None = None
            if isinstance(rows, Future):
                self._begin_another(rows)
                continue
            try:
                if rows and self._gone.is_set():
                    rows = self._begin_anew(rows)
                if rows:
                    self._segments.write(rows)
            except Exception as failure:  # noqa: BLE001 - without this thread nothing is written
                error = failure
            with suppress(RuntimeError):  # without a loop nobody is left to be told
                loop.call_soon_threadsafe(self._written, error)
            if error is None and self._full.is_set():
                self._rotate()

    def _begin_another(self, begun: Future[None]) -> None:
        # Whoever asked may be gone by now: a future that was cancelled takes no result.
        if not begun.set_running_or_notify_cancel():
            return
        try:
            self._segments.rotate()
        except Exception as failure:  # noqa: BLE001 - raised where it is awaited
            begun.set_exception(failure)
        else:
            begun.set_result(None)

    def _begin_anew(self, rows: list[LogRow]) -> list[LogRow]:
        """Go on in a file that is there, after a gap that is everybody's."""
        self._segments.rotate()
        self._gone.clear()
        return [everybodys_gap(rows[0].received_time_us), *rows]

    def _rotate(self) -> None:
        try:
            self._full.clear()
            self._segments.rotate()
        except Exception as failure:  # noqa: BLE001 - it goes on in the file as it is
            _log.warning("log_not_rotated", reason=str(failure))

    def _keep_up(self) -> None:
        """Remove old files, merge, and look whether the segment is full or gone, every second."""
        merged = -1
        while not self._ended.wait(UPKEEP_S):
            last = self._segments.last_position
            if not self._done(self._look_whether_there):
                continue
            if last == merged or self._gone.is_set():
                continue
            # First of all: what is removed makes room for the rest.
            if self._done(self._segments.prune) and self._done(self._segments.checkpoint):
                merged = last
            self._done(self._look_whether_full)

    def _look_whether_there(self) -> None:
        if not self._segments.is_there() and not self._gone.is_set():
            _log.error("log_file_gone")
            self._gone.set()

    def _look_whether_full(self) -> None:
        if self._segments.is_full():
            self._full.set()

    def _done(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except Exception as failure:  # noqa: BLE001 - the next time may fare better
            now = time.monotonic()
            if now >= self._next_warning:
                self._next_warning = now + _WARNING_PERIOD_S
                _log.warning("log_upkeep_failed", reason=str(failure))
            return False
        return True

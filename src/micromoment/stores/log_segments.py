"""The event log's files: SQLite segments in one folder, each named by the place of its first row.

One process writes. The newest segment takes the rows; when it is full, the next one does. Segments
whose last row is too old go, and so do the oldest when all of them take too much room.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import structlog

from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.stores.durability import Durability
from micromoment.stores.log_rows import LoggedVisit, LogRow, RowKind

# SQLite's own number for a file's format; another one is refused. The second has erased rows.
FORMAT: Final = 1
FORMAT_ERASED: Final = 2
_FORMATS: Final = frozenset({0, FORMAT, FORMAT_ERASED})
_SUFFIX: Final = ".sqlite"
_PREFIX: Final = "visits-"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS calls (
    position INTEGER PRIMARY KEY,  -- order of arrival, over all segments
    received_time INTEGER NOT NULL,  -- microseconds since 1970
    kind INTEGER NOT NULL,  -- 0 went on, 1 began, 2 gap, 3 erased
    tenant TEXT NOT NULL,
    session_id TEXT NOT NULL,  -- encoded, as visitor_id
    visitor_id TEXT NOT NULL,
    body BLOB NOT NULL  -- micromoment.v1.LoggedCall
)
"""
# A writer that goes on in a new segment makes the file before the table.
_IS_BEGUN: Final = "SELECT 1 FROM sqlite_master WHERE name = 'calls'"
_COLUMNS: Final = "position, received_time, kind, tenant, session_id, visitor_id, body"
# More than a file can hold.
_MOST_ROWS: Final = 1 << 32
# Rows in one statement: the interpreter is let go and taken back once for each.
_TOGETHER: Final = 64
_BUSY_TIMEOUT_S: Final = 2.0
_US_PER_SECOND: Final = 1_000_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LogLimits:
    """When a segment is full, and when segments go: by age in seconds, by bytes of all of them."""

    segment_bytes: int
    retention_s: float
    max_bytes: int


class LogFolder:
    """The folder of one log, locked for one writer as long as it is open.

    Raises `InvalidSettingError` while another one has it; `remedy` says what to do about that.
    """

    def __init__(
        self,
        path: Path,
        remedy: str = "used by another server: give each one its own (setting state_dir)",
    ) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise InvalidSettingError("event_log", f"{path} is {remedy}") from None

    def close(self) -> None:
        """Let another writer in."""
        os.close(self._lock)


def segments(folder: Path) -> list[Path]:
    """Give the segments of a log, the oldest first."""
    return sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}"))


def first_position(segment: Path) -> int:
    """Give the place of a segment's first row."""
    return int(segment.stem.removeprefix(_PREFIX))


def _last_position(folder: Path) -> tuple[int, bool]:
    """Give the place of a log's last row, and whether it could be read: else one beyond it."""
    files = segments(folder)
    if not files:
        return 0, True
    first = first_position(files[-1])
    try:
        with _reading(files[-1]) as connection:
            if not connection.execute(_IS_BEGUN).fetchall():
                return first - 1, True
            (last,) = connection.execute("SELECT max(position) FROM calls").fetchone()
    except InvalidDataError as error:
        _log.error("log_damaged", reason=str(error))
        return first + _MOST_ROWS, False
    return first - 1 if last is None else last, True


def segment_bytes(segment: Path) -> int:
    """Give the bytes that a segment takes, with what is not yet merged into it; 0 if it is gone.

    Its writer may close or remove it meanwhile.
    """
    size = 0
    for part in (segment, segment.with_name(f"{segment.name}-wal")):
        with suppress(FileNotFoundError):
            size += part.stat().st_size
    return size


class SegmentWriter:
    """Writes rows to the newest segment of a folder; belongs to one thread at a time.

    With `commit` a row is safe from the process's death once it is written, with `fsync` from a
    power cut as well. What is written waits in SQLite's write-ahead log; `checkpoint`, which any
    thread may call meanwhile, merges it. `is_whole` tells that the segment before could be read.
    """

    def __init__(self, folder: Path, durability: Durability, limits: LogLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._synchronous = "FULL" if durability == "fsync" else "NORMAL"
        self.last_position, self.is_whole = _last_position(folder)
        # Always a file of its own: nothing is written into one that may be damaged.
        self._segment = _segment(folder, self.last_position + 1)
        self._connection = self._open(self._segment)
        self._inode = self._segment.stat().st_ino

    def write(self, rows: Sequence[LogRow]) -> None:
        """Append rows, all of them or none. Raises `sqlite3.Error`."""
        connection = self._connection
        position = self.last_position
        if any(row.kind is RowKind.ERASED for row in rows):
            # nosemgrep: no-values-in-sql - a constant; PRAGMA takes no parameter
            connection.execute(f"PRAGMA user_version = {FORMAT_ERASED}")
        if len(rows) <= _TOGETHER:
            connection.execute(_insert(len(rows)), _values(rows, position))
        else:
            with _transaction(connection):
                for first in range(0, len(rows), _TOGETHER):
                    some = rows[first : first + _TOGETHER]
                    connection.execute(_insert(len(some)), _values(some, position + first))
        self.last_position = position + len(rows)

    def is_full(self) -> bool:
        """Tell whether the next rows belong to a new segment."""
        return segment_bytes(self._segment) >= self._limits.segment_bytes

    def rotate(self) -> None:
        """Go on in a new segment. Raises `sqlite3.Error`."""
        following = _segment(self._folder, self.last_position + 1)
        connection = self._open(following)
        before, self._connection, self._segment = self._connection, connection, following
        self._inode = following.stat().st_ino
        before.close()

    def is_there(self) -> bool:
        """Tell whether the segment is still the file that was opened. Any thread may ask."""
        try:
            return self._segment.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def checkpoint(self) -> None:
        """Merge into the segment what was written, as far as nobody reads it. Any thread may call.

        Raises `sqlite3.Error`.
        """
        with closing(connect(self._segment)) as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def prune(self) -> int:
        """Remove segments by age and by room, never the newest; give how many. Any thread may."""
        return prune(self._folder, self._limits, time.time())

    def close(self) -> None:
        """Merge what was written and close the segment."""
        self._connection.close()

    def _open(self, segment: Path) -> sqlite3.Connection:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = connect(segment, create=True)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # nosemgrep: no-values-in-sql - a constant; PRAGMA takes no parameter
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            # A checkpoint waits for the disk; it is another thread's.
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            if not connection.execute(_IS_BEGUN).fetchall():
                connection.execute(_SCHEMA)
                # nosemgrep: no-values-in-sql - a constant; PRAGMA takes no parameter
                connection.execute(f"PRAGMA user_version = {FORMAT}")
        except BaseException:
            connection.close()
            raise
        return connection


def connect(segment: Path, *, create: bool = False) -> sqlite3.Connection:
    """Open a segment in autocommit mode; it may be handed from thread to thread."""
    if create and not segment.exists():
        os.close(os.open(segment, os.O_RDWR | os.O_CREAT, 0o600))
    return sqlite3.connect(
        segment, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


def _connect_reader(segment: Path) -> sqlite3.Connection:
    """Open a segment to read; also in a folder where SQLite can keep nothing beside it."""
    if os.access(segment.parent, os.W_OK):
        return connect(segment)
    return sqlite3.connect(f"{segment.resolve().as_uri()}?immutable=1", uri=True)


def prune(folder: Path, limits: LogLimits, now: float) -> int:
    """Remove segments that are too old or too much; `now` is in seconds since 1970."""
    oldest_us = int((now - limits.retention_s) * _US_PER_SECOND)
    *closed, newest = segments(folder) or [folder]
    room = limits.max_bytes - segment_bytes(newest) if closed else 0
    removed = 0
    for segment in reversed(closed):
        room -= segment_bytes(segment)
        too_much = room < 0
        if too_much or _last_time(segment) < oldest_us:
            remove_segment(segment)
            removed += 1
            reason = "log_max_bytes" if too_much else "log_retention"
            _log.info("log_segment_removed", segment=segment.name, reason=reason)
    return removed


def remove_segment(segment: Path) -> None:
    """Remove a closed segment with what SQLite keeps beside it."""
    for suffix in ("-wal", "-shm", ""):
        segment.with_name(segment.name + suffix).unlink(missing_ok=True)


def read_rows(
    segment: Path, *, after: int = 0, sessions: frozenset[str] | None = None
) -> Iterator[LoggedVisit]:
    """Go through a segment's rows beyond the place `after`, of all sessions or of some.

    Raises `InvalidDataError` for a damaged segment.
    """
    with _reading(segment) as connection:
        if not connection.execute(_IS_BEGUN).fetchall():
            return
        # nosemgrep: no-values-in-sql - constants
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM calls WHERE position > ? ORDER BY position",  # noqa: S608 - constant  # nosec B608
            (after,),
        )
        for position, time_us, kind, tenant, session_id, visitor_id, body in rows:
            if sessions is None or session_id in sessions:
                yield LoggedVisit(
                    position, time_us, RowKind(kind), tenant, session_id, visitor_id, body
                )


LogHead = tuple[int, int, int, str, str]


def read_heads(segment: Path) -> Iterator[LogHead]:
    """Go through a segment's rows from the last to the first, without visitors and bodies.

    Each is position, received time (microseconds), kind, tenant and session id. Raises
    `InvalidDataError` for a damaged segment.
    """
    with _reading(segment) as connection:
        if not connection.execute(_IS_BEGUN).fetchall():
            return
        yield from connection.execute(
            "SELECT position, received_time, kind, tenant, session_id FROM calls "
            "ORDER BY position DESC"
        )


@contextmanager
def _reading(segment: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(_connect_reader(segment)) as connection:
            connection.execute("PRAGMA query_only = 1")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found not in _FORMATS:
                newest = f"not {FORMAT} or {FORMAT_ERASED}"
                raise InvalidDataError(str(segment), f"is a log of format {found}, {newest}")
            yield connection
    except sqlite3.DatabaseError as error:
        raise InvalidDataError(str(segment), f"can't be read as an event log: {error}") from None


def _last_time(segment: Path) -> int:
    try:
        with closing(connect(segment)) as connection:
            (last,) = connection.execute(
                "SELECT received_time FROM calls ORDER BY position DESC LIMIT 1"
            ).fetchone() or (0,)
    except sqlite3.DatabaseError:
        # Unreadable is no reason to remove it: by its file's age it goes as well.
        return int(segment.stat().st_mtime * _US_PER_SECOND)
    return int(last)


def _segment(folder: Path, first_position: int) -> Path:
    return folder / f"{_PREFIX}{first_position:020d}{_SUFFIX}"


@cache
def _insert(rows: int) -> str:
    places = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO calls ({_COLUMNS}) VALUES {places}"  # noqa: S608 - constant  # nosec B608


def _values(rows: Sequence[LogRow], position: int) -> list[object]:
    values: list[object] = []
    for row in rows:
        position += 1
        values.append(position)
        values.extend(row)
    return values


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")

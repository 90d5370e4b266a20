"""Erases sessions and visitors from the files of an event log, while its server goes on writing.

A call's row keeps its place and its time of arrival, so that places have no hole; it says no longer
whose it was nor what.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from micromoment.stores.log_rows import RowKind
from micromoment.stores.log_segments import FORMAT_ERASED, segments
from micromoment.stores.secure_sqlite import erasing, is_unclean, open_existing, parts

_IS_BEGUN: Final = "SELECT 1 FROM sqlite_master WHERE name = 'calls'"
_BLANK: Final = f"""
UPDATE calls SET kind = {int(RowKind.ERASED)}, tenant = '', session_id = '', visitor_id = '',
  body = x'' WHERE position = ?
"""  # noqa: S608 - constant  # nosec B608


@dataclass(frozen=True, slots=True)
class ErasedFromLog:
    """What was erased: sessions, by their ids, and rows of calls."""

    sessions: frozenset[str] = frozenset()
    rows: int = 0


def sessions_of(folder: Path, tenant: str, visitors: Collection[str]) -> frozenset[str]:
    """Give the ids of all sessions in which one of the visitors occurs. Raises `sqlite3.Error`."""
    found: set[str] = set()
    for segment in segments(folder):
        with _opened(segment) as connection:
            if connection is not None:
                rows = _select(connection, "session_id", "visitor_id", tenant, visitors)
                found.update(str(session_id) for (session_id,) in rows)
    return frozenset(found - {""})


def erase_calls(
    folder: Path, tenant: str, *, visitors: Collection[str] = (), sessions: Collection[str] = ()
) -> ErasedFromLog:
    """Blank all rows of the visitors, of sessions in which they occur, and of the sessions given.

    Ids are encoded. What waits to be written must be written before. Raises `sqlite3.Error` where a
    file can't be read or changed; what was done stays done, and the rest is done by doing it again.
    """
    wanted = frozenset(sessions) | sessions_of(folder, tenant, visitors)
    rows = 0
    for segment in segments(folder):
        positions = _positions(segment, tenant, visitors, wanted)
        if positions or _is_unclean(segment):
            _blank(segment, positions)
            rows += len(positions)
    return ErasedFromLog(wanted, rows)


def is_in_newest(
    folder: Path, tenant: str, *, visitors: Collection[str] = (), sessions: Collection[str] = ()
) -> bool:
    """Tell whether the file that is written now has rows of theirs. Raises `sqlite3.Error`."""
    newest = segments(folder)[-1:]
    wanted = frozenset(sessions) | sessions_of(folder, tenant, visitors)
    return any(_positions(segment, tenant, visitors, wanted) for segment in newest)


def _is_unclean(segment: Path) -> bool:
    with _opened(segment) as connection:
        return connection is not None and is_unclean(connection)


def _positions(
    segment: Path, tenant: str, visitors: Collection[str], sessions: Collection[str]
) -> list[int]:
    with _opened(segment) as connection:
        if connection is None:
            return []
        found = {
            int(position)
            for column, ids in (("visitor_id", visitors), ("session_id", sessions))
            for (position,) in _select(connection, "position", column, tenant, ids)
        }
    return sorted(found)


def _select(
    connection: sqlite3.Connection, wanted: str, column: str, tenant: str, ids: Collection[str]
) -> list[tuple[int | str]]:
    found: list[tuple[int | str]] = []
    for some in parts(ids):
        marks = ", ".join("?" * len(some))
        # nosemgrep: no-values-in-sql - names of columns, and marks
        found += connection.execute(
            f"SELECT DISTINCT {wanted} FROM calls WHERE tenant = ? AND {column} IN ({marks})",  # noqa: S608 - names of columns  # nosec B608
            (tenant, *some),
        )
    return found


def _blank(segment: Path, positions: list[int]) -> None:
    with erasing(segment) as connection:
        connection.executemany(_BLANK, [(position,) for position in positions])
        # nosemgrep: no-values-in-sql - a constant; PRAGMA takes no parameter
        connection.execute(f"PRAGMA user_version = {FORMAT_ERASED}")


@contextmanager
def _opened(segment: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a segment; None where it is gone or has no table yet."""
    try:
        connection = open_existing(segment)
    except sqlite3.OperationalError:
        if segment.exists():
            raise
        yield None
        return
    with closing(connection):
        yield connection if connection.execute(_IS_BEGUN).fetchall() else None

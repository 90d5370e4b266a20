"""A server's event log in a folder: its segments and the events from outside visits.

The server must be stopped: it would go on writing rows of sessions under the ids that it knows. A
file is copied, changed, packed so that no byte of the earlier ids stays in it, and put in place by
renaming. Whoever is interrupted begins again: files that are current are passed over.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError, Message

from micromoment.errors import InvalidDataError
from micromoment.events.identity import key_id_of
from micromoment.events.masking import mask_events
from micromoment.stores.event_log import OUTSIDE_FILE
from micromoment.stores.log_segments import LogFolder, connect, segments
from micromoment.v1 import events_pb2, log_pb2
from training.progress import Advance
from training.rekeying.renaming import Renaming, StoreReport, put_in_place

_DRAFT: Final = ".rekeyed"
_SIDECARS: Final = ("-wal", "-shm", "-journal")
# Of each table: its row's number, what names people, and the message that may hold addresses.
_VISITS: Final = ("calls", "position", ("session_id", "visitor_id"), "body")
_OUTSIDE: Final = ("outside_visit_events", "sequence", ("visitor_id",), "event")
_Table = tuple[str, str, tuple[str, ...], str]
# Others are gaps of all, and what is left of erased rows: a hash in place of the session's id.
_NAMES: Final = "tenant <> ''"
_PAGES_AT_ONCE: Final = 4_096
_TOGETHER: Final = 1_000


def log_files(folder: Path) -> list[Path]:
    """List the files of a log. Raises `InvalidDataError` for a folder without one."""
    outside = folder / OUTSIDE_FILE
    files = [*segments(folder), *([outside] if outside.exists() else [])]
    if not files:
        raise InvalidDataError(str(folder), "holds no event log: no visits-*.sqlite")
    return files


def rekey_log_folder(
    folder: Path, renaming: Renaming, advance: Advance, state_file: Path | None = None
) -> list[StoreReport]:
    """Bring a log under the current key; `advance` gets 1 for each file.

    The state file of its server goes first: its states know their visitors by a hash from which
    nothing leads on, and the log's rows give them anew, to the bit. Raises `InvalidSettingError`
    while a server has the log, `InvalidDataError` for a damaged file.
    """
    report = StoreReport(f"event log {folder}")
    files = log_files(folder)
    lock = LogFolder(folder, "used by a server that runs: stop it first")
    try:
        reports = [report, *([] if state_file is None else [_drop_state(state_file)])]
        for left_over in folder.glob(f"*{_DRAFT}*"):
            left_over.unlink()
        for path in files:
            report.files += 1
            table = _OUTSIDE if path.name == OUTSIDE_FILE else _VISITS
            try:
                report.rewritten += _rekey_file(path, table, renaming, report)
            except sqlite3.DatabaseError as error:
                raise InvalidDataError(
                    str(path), f"can't be read as an event log: {error}"
                ) from None
            advance(1)
    finally:
        lock.close()
    return reports


def _drop_state(path: Path) -> StoreReport:
    report = StoreReport(f"state file {path}", note="none there")
    if path.exists():
        path.unlink()
        report.files = report.rewritten = 1
        report.note = "removed: its sessions come back from the log"
    return report


def _rekey_file(path: Path, table: _Table, renaming: Renaming, report: StoreReport) -> bool:
    with closing(connect(path)) as connection:
        # What waits beside the file goes into it, and the waiting place is emptied.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        changes = _is_begun(connection, table) and _has_changes(connection, table, renaming)
        if not changes:
            _count(connection, table, renaming, report)
            return False
    draft = path.with_name(path.name + _DRAFT)
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(connect(path)) as source, closing(connect(draft)) as copy:
        source.backup(copy, pages=_PAGES_AT_ONCE)
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        copy.execute("PRAGMA synchronous = OFF")
        _rename(copy, table, renaming, report)
        # Packing writes every page anew: nothing of the earlier ids stays in a gap.
        copy.execute("VACUUM")
        copy.execute("PRAGMA journal_mode = WAL").fetchall()
    for one in (draft, path):
        for sidecar in _SIDECARS:
            one.with_name(one.name + sidecar).unlink(missing_ok=True)
    put_in_place(draft, path)
    return True


def _is_begun(connection: sqlite3.Connection, table: _Table) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table[0],))
    return found.fetchone() is not None


def _has_changes(connection: sqlite3.Connection, table: _Table, renaming: Renaming) -> bool:
    name, _, columns, _ = table
    for column in columns:
        # nosemgrep: no-values-in-sql - constants
        for (stored,) in connection.execute(f"SELECT DISTINCT {column} FROM {name} WHERE {_NAMES}"):  # noqa: S608 - constants  # nosec B608
            if renaming.of(stored) != stored:
                return True
    return False


def _count(
    connection: sqlite3.Connection, table: _Table, renaming: Renaming, report: StoreReport
) -> None:
    name, _, columns, _ = table
    if _is_begun(connection, table):
        # nosemgrep: no-values-in-sql - constants
        for stored in connection.execute(f"SELECT {', '.join(columns)} FROM {name} WHERE {_NAMES}"):  # noqa: S608 - constants  # nosec B608
            renaming.take(report, *stored)
        # nosemgrep: no-values-in-sql - constants
        others = connection.execute(f"SELECT count(*) FROM {name} WHERE NOT {_NAMES}")  # noqa: S608 - constants  # nosec B608
        report.rows += others.fetchone()[0]


def _rename(
    connection: sqlite3.Connection, table: _Table, renaming: Renaming, report: StoreReport
) -> None:
    name, number, columns, message = table
    parse = log_pb2.LoggedCall if message == "body" else events_pb2.Event
    assignments = ", ".join(f"{column} = ?" for column in (*columns, message))
    update = f"UPDATE {name} SET {assignments} WHERE {number} = ?"  # noqa: S608 - constants  # nosec B608
    connection.execute("BEGIN")
    pending = []
    for row, data, tenant, *stored in _rows(connection, table):
        if not tenant:
            report.rows += 1
            continue
        named = renaming.take(report, *stored)
        if any(stored) and not any(map(key_id_of, stored)):
            # It was kept while ids were plain, when texts were, too.
            data = masked_message(data, parse)  # noqa: PLW2901 - the same message
        pending.append((*named, data, row))
        if len(pending) >= _TOGETHER:
            connection.executemany(update, pending)
            pending.clear()
    connection.executemany(update, pending)
    connection.execute("COMMIT")


def _rows(connection: sqlite3.Connection, table: _Table) -> Iterator[tuple[int, bytes, str, ...]]:  # type: ignore[misc] # as many as columns
    """Go through the rows, page by page, so that updating does not disturb it."""
    name, number, columns, message = table
    after = -1
    while True:
        page = connection.execute(
            f"SELECT {number}, {message}, tenant, {', '.join(columns)} FROM {name}"  # noqa: S608 - constants  # nosec B608
            f" WHERE {number} > ? ORDER BY {number} LIMIT {_TOGETHER}",
            (after,),
        ).fetchall()
        if not page:
            return
        yield from page
        after = page[-1][0]


def masked_message(data: bytes, kind: Callable[[], Message]) -> bytes:
    """Mask the addresses in a serialized call or event; what can't be read stays."""
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return data
    events = message.events if isinstance(message, log_pb2.LoggedCall) else [message]
    return message.SerializeToString(deterministic=True) if mask_events(events) else data  # type: ignore[arg-type] # one or the other

"""Erases people from folders of events, feature workspaces, logs that no server uses, and tables.

First the list of erasures in the folder is added to, so that an import that is done again, or a run
that breaks off, brings nobody back. Doing it again finishes it.
"""

from __future__ import annotations

import csv
import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder
from micromoment.scoring.golden import EVENTS_FILE as GOLDEN_EVENTS_FILE
from micromoment.scoring.manifest import MANIFEST_FILE
from micromoment.security.callers import DEFAULT_TENANT
from micromoment.stores.erasure_list import load_erasures
from micromoment.stores.event_log import OUTSIDE_FILE, erase_outside_events
from micromoment.stores.log_erasing import erase_calls
from micromoment.stores.log_segments import LogFolder, segments
from micromoment.stores.online_erasing import erase_online
from micromoment.stores.parquet_erasing import erase_rows, values_where
from micromoment.workspace_erasing import erase_from_workspace
from training.importers.event_folder import SESSIONS, event_folder

ID_COLUMNS: Final = ("user_id", "anonymous_id", "visitor_id", "buyer")
_SESSION: Final = "session_id"
_IN_USE: Final = "used by a server that runs: let it erase (--server), or stop it first"


@dataclass(frozen=True, slots=True)
class OfflinePlaces:
    """Where to look. `tables` are CSV or Parquet files, or folders of them, with columns of ids.

    `logs` are folders of event logs that no server uses, back-ups for instance, of which the rows
    of `tenant` are looked at.
    """

    events: tuple[Path, ...] = ()
    workspace: Path | None = None
    logs: tuple[Path, ...] = ()
    tables: tuple[Path, ...] = ()
    bundle_store: Path | None = None
    tenant: str = DEFAULT_TENANT


@dataclass(slots=True)
class ErasureReport:
    """Rows that were removed, by file, and what can't be changed: bundles that hold ids."""

    rows: dict[str, int] = field(default_factory=dict)
    bundles: list[str] = field(default_factory=list)

    def add(self, name: str, rows: int) -> None:
        """Count rows of a file."""
        if rows:
            self.rows[name] = self.rows.get(name, 0) + rows


def erase_people(
    ids: Collection[str], places: OfflinePlaces, *, time_us: int | None = None
) -> ErasureReport:
    """Erase whom the ids name, in each form in which they may be stored, from all places.

    Raises `InvalidDataError` for a file that can't be read, `InvalidSettingError` for a log that a
    server uses, and `UserFeaturesUnavailableError` for an online store that does not answer.
    """
    known = frozenset(ids) - {""}
    when = time.time_ns() // 1_000 if time_us is None else time_us
    report = ErasureReport()
    require_logs(places.logs)
    for folder in places.events:
        _erase_events(folder, known, when, report)
    if places.workspace is not None:
        rows = erase_from_workspace(places.workspace, known, when)
        report.add(str(places.workspace), rows)
        online = erase_online(places.workspace, sorted(known))
        report.add(f"{places.workspace} (online store)", online)
    for log in places.logs:
        _erase_log(log, places.tenant, known, report)
    for table in table_files(places.tables):
        report.add(str(table), _erase_table(table, known))
    if places.bundle_store is not None:
        report.bundles = bundles_with(places.bundle_store, known)
    return report


def apply_erasures(workspace: Path, events: Path, keys: IdEncoder | None = None) -> ErasureReport:
    """Erase from a folder of events whom the workspace's list names and the folder's does not.

    So that what a server erased does not come back by training. With `keys`, which servers have,
    each form counts that an id of the folder may have there. A folder that can't be written, but
    holds nobody of them, is left as it is. Raises `InvalidDataError`.
    """
    report = ErasureReport()
    keys = keys or IdEncoder()
    told, own = load_erasures(workspace), load_erasures(events)
    # What was taken in without keys may name somebody whom only keys show to be in the folder.
    if not events.is_dir() or not (own.lacks(told) or (told and keys.is_on)):
        return report
    by_time: dict[int, set[str]] = {}
    for one in _ids_in(events):
        until = told.latest(keys.forms(one))
        if until > own.until(one):
            by_time.setdefault(until, set()).add(one)
    for until, ids in sorted(by_time.items()):
        _erase_events(events, frozenset(ids), until, report)
    own = load_erasures(events)
    own.take_in(told)
    try:
        own.save(events)
    except OSError as error:
        if by_time:
            raise InvalidDataError(str(events), f"can't be written: {error.strerror}") from None
        # It holds nobody of them: whoever brings somebody back can write, and it is noted then.
    return report


def erasures_seen(events: Path) -> dict[str, Any]:
    """Say which erasures were applied to a folder of events: how many, the last, and a digest."""
    seen = load_erasures(events)
    last = datetime.fromtimestamp(seen.last_us / 1e6, UTC).isoformat() if seen else None
    return {"people": len(seen), "last": last, "digest": seen.digest}


def bundles_with(store: Path, ids: Collection[str]) -> list[str]:
    """Name the bundles whose golden sessions hold one of the ids: they can't be changed.

    Only those of earlier versions can; golden sessions are numbered now.
    """
    theirs = dict.fromkeys((*ID_COLUMNS, _SESSION), ids)
    found = []
    for manifest in sorted(store.glob(f"*/*/{MANIFEST_FILE}")):
        folder = manifest.parent
        golden = (folder / GOLDEN_EVENTS_FILE).parent
        if any(
            values_where(path, theirs, column)
            for path in sorted(golden.glob("*.parquet"))
            for column in theirs
        ):
            found.append(f"{folder.parent.name}:{folder.name}")
    return found


def _erase_events(folder: Path, ids: Collection[str], time_us: int, report: ErasureReport) -> None:
    if not folder.is_dir():
        raise InvalidDataError(str(folder), "is no folder of events")
    with event_folder(folder, None):  # no import may write it meanwhile
        erasures = load_erasures(folder)
        erasures.add(ids, time_us)
        erasures.save(folder)
        theirs = dict.fromkeys(ID_COLUMNS, ids)
        files = sorted(folder.glob("*.parquet"))
        sessions: set[str] = set()
        for path in files:
            sessions |= values_where(path, theirs, _SESSION, until_us=time_us)
        for path in files:
            rows = erase_rows(path, {**theirs, _SESSION: sessions}, until_us=time_us)
            report.add(str(path), rows)
        # What later days need of earlier ones, hidden beside them.
        for path in sorted(folder.glob(".*/*/*.parquet")):
            is_alone = not (folder / path.name).exists()
            if is_alone and path.parent.name == SESSIONS:
                # It names visits alone; whose they were, only the day could say that isn't there.
                path.unlink()
                continue
            rows = erase_rows(path, {**theirs, _SESSION: sessions})
            report.add(str(path), rows if is_alone else 0)  # else they are the day's rows


def require_logs(folders: Iterable[Path]) -> None:
    """Raise `InvalidDataError` for what is no folder of an event log."""
    for folder in folders:
        # A path has lost one slash of a URL, which may hold a password.
        if str(folder).startswith(("redis:/", "rediss:/")):
            raise InvalidDataError("Redis", "is a server's log, no folder: give --server instead")
        if not segments(folder) and not (folder / OUTSIDE_FILE).exists():
            raise InvalidDataError(
                str(folder), f"holds no event log: neither visits-*.sqlite nor {OUTSIDE_FILE}"
            )


def _erase_log(folder: Path, tenant: str, ids: Collection[str], report: ErasureReport) -> None:
    lock = LogFolder(folder, _IN_USE)
    try:
        erased = erase_calls(folder, tenant, visitors=ids)
        report.add(f"{folder} (calls)", erased.rows)
        outside = erase_outside_events(folder / OUTSIDE_FILE, tenant, ids)
        report.add(f"{folder} (events outside visits)", outside)
    except sqlite3.Error as error:
        raise InvalidDataError(str(folder), f"can't be erased from: {error}") from None
    finally:
        lock.close()


def _erase_table(path: Path, ids: Collection[str]) -> int:
    if path.suffix == ".parquet":
        return erase_rows(path, dict.fromkeys(ID_COLUMNS, ids))
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows, None)
        if header is None:
            return 0
        columns = [place for place, name in enumerate(header) if name in ID_COLUMNS]
        if not columns:
            raise InvalidDataError(str(path), f"has none of the columns {', '.join(ID_COLUMNS)}")
        kept, gone = [header], 0
        for row in rows:
            is_theirs = any(place < len(row) and row[place] in ids for place in columns)
            gone += is_theirs
            if not is_theirs:
                kept.append(row)
    if gone:
        draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
        try:
            with draft.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(kept)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return gone


def table_files(tables: Iterable[Path]) -> Sequence[Path]:
    """List the tables. Raises `InvalidDataError` for one that isn't there."""
    found: list[Path] = []
    for table in tables:
        if table.is_dir():
            found += sorted(
                path for path in table.rglob("*") if path.suffix in {".csv", ".parquet"}
            )
        elif table.exists():
            found.append(table)
        else:
            raise InvalidDataError(str(table), "isn't there")
    return found


def _ids_in(folder: Path) -> set[str]:
    import pyarrow.compute as pc  # noqa: PLC0415 - where it is used
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    found: set[str] = set()
    for path in sorted(folder.glob("*.parquet")):
        try:
            rows = pq.read_table(path, columns=["user_id", "anonymous_id"])
        except (OSError, ValueError) as error:
            raise InvalidDataError(
                str(path), f"isn't a readable Parquet file: {type(error).__name__}"
            ) from None
        for name in rows.column_names:
            found.update(one for one in pc.unique(rows[name]).to_pylist() if one)
    return found

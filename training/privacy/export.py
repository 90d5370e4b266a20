"""Tells all that files hold of people, row by row, with the name of the file."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from micromoment.stores.event_log import OUTSIDE_FILE, read_outside_visits
from micromoment.stores.log_erasing import sessions_of
from micromoment.stores.log_segments import read_rows, segments
from micromoment.stores.online_rows import OnlineRows
from micromoment.stores.parquet_erasing import rows_where, values_where
from micromoment.v1 import events_pb2
from micromoment.workspace_erasing import workspace_rows
from training.importers.event_folder import STATE_NAME
from training.privacy.erase import ID_COLUMNS, OfflinePlaces, require_logs, table_files

Row = dict[str, Any]

_SESSION = "session_id"
_ONLINE_TIMEOUT_S = 5.0


def export_people(ids: Collection[str], places: OfflinePlaces) -> Iterator[tuple[str, Row]]:
    """Go through all rows of whom the ids name, with the names of their files.

    Raises `InvalidDataError` for a file that can't be read, and `UserFeaturesUnavailableError` for
    an online store that does not answer.
    """
    known = frozenset(ids) - {""}
    require_logs(places.logs)
    for folder in places.events:
        yield from _events(folder, known)
    if places.workspace is not None:
        yield from workspace_rows(places.workspace, known)
        yield from _online(places.workspace, known)
    for log in places.logs:
        yield from _log(log, places.tenant, known)
    for table in table_files(places.tables):
        yield from _table(table, known)


def _events(folder: Path, ids: Collection[str]) -> Iterator[tuple[str, Row]]:
    files = sorted(folder.glob("*.parquet"))
    theirs = dict.fromkeys(ID_COLUMNS, ids)
    sessions: set[str] = set()
    for path in files:
        sessions |= values_where(path, theirs, _SESSION)
    for path in files:
        for row in rows_where(path, {**theirs, _SESSION: sessions}):
            yield str(path), row
    # State of days that are elsewhere by now; of others it repeats what the day says.
    for path in sorted(folder.glob(f"{STATE_NAME}/*/*.parquet")):
        if not (folder / path.name).exists():
            for row in rows_where(path, theirs):
                yield str(path), row


def _online(workspace: Path, ids: Collection[str]) -> Iterator[tuple[str, Row]]:
    rows = OnlineRows(workspace, _ONLINE_TIMEOUT_S)
    try:
        for one in sorted(ids):
            row = rows.read(one)
            if row is not None:
                values = {name: row[name][0].item() for name in row.dtype.names or ()}
                yield f"{workspace} (online store)", {"visitor_id": one, **values}
    finally:
        rows.close()


def _log(folder: Path, tenant: str, ids: Collection[str]) -> Iterator[tuple[str, Row]]:
    sessions = sessions_of(folder, tenant, ids)
    for segment in segments(folder):
        for visit in read_rows(segment):
            theirs = visit.visitor_id in ids or visit.session_id in sessions
            if visit.tenant == tenant and theirs:
                yield (
                    str(segment),
                    {
                        "received_time_us": visit.received_time_us,
                        "session_id": visit.session_id,
                        "visitor_id": visit.visitor_id,
                        "call": MessageToDict(visit.call(), preserving_proto_field_name=True),
                    },
                )
    outside = folder / OUTSIDE_FILE
    if outside.exists():
        for _, event in read_outside_visits(outside):
            if event.tenant == tenant and event.visitor_id in ids:
                message = events_pb2.Event.FromString(event.event)
                yield (
                    str(outside),
                    {
                        "received_time_us": event.received_time_us,
                        "visitor_id": event.visitor_id,
                        "event": MessageToDict(message, preserving_proto_field_name=True),
                    },
                )


def _table(path: Path, ids: Collection[str]) -> Iterator[tuple[str, Row]]:
    if path.suffix == ".parquet":
        for row in rows_where(path, dict.fromkeys(ID_COLUMNS, ids)):
            yield str(path), row
        return
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if any(row.get(column) in ids for column in ID_COLUMNS):
                yield str(path), dict(row)

"""Looking after an event log: is it whole, copy it while a server writes, bring a copy back."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from micromoment.errors import InvalidDataError
from micromoment.stores.event_log import OUTSIDE_FILE, read_outside_visits
from micromoment.stores.log_rows import RowKind
from micromoment.stores.log_segments import connect, read_rows, segment_bytes, segments
from micromoment.stores.visit_log import GAP_FILE
from micromoment.v1 import events_pb2

_MOST_PROBLEMS: Final = 100
_PAGES_AT_ONCE: Final = 2_048  # a writer goes on between two steps of a copy


@dataclass(slots=True)
class FileReport:
    """What one file of a log holds; times are in microseconds since 1970, 0 where it is empty."""

    name: str
    size: int
    rows: int = 0
    events: int = 0
    gaps: int = 0
    erased: int = 0
    sessions: set[tuple[str, str]] = field(default_factory=set)
    first_us: int = 0
    last_us: int = 0

    def take(self, time_us: int) -> None:
        """Count a row that was received then."""
        self.rows += 1
        self.first_us = min(self.first_us, time_us) if self.first_us else time_us
        self.last_us = max(self.last_us, time_us)


@dataclass(slots=True)
class LogReport:
    """What a log holds, and what is wrong with it; `is_failing`: a server could not write."""

    files: list[FileReport] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    is_failing: bool = False

    @property
    def sessions(self) -> int:
        """Sessions of all files, each once."""
        return len(set().union(*(one.sessions for one in self.files)))

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.problems


def check_log(folder: Path) -> LogReport:
    """Read all of a log, which a server may go on writing.

    A segment must pass SQLite's own check, places must follow one another over all segments, and
    each call must be readable. Raises `InvalidDataError` for a folder without a log.
    """
    files = segments(folder)
    outside = folder / OUTSIDE_FILE
    if not files and not outside.exists():
        raise InvalidDataError(str(folder), "holds no event log: no visits-*.sqlite")
    report = LogReport(is_failing=(folder / GAP_FILE).exists())
    place: int | None = None
    for segment in files:
        place = _check_segment(segment, place, report)
    if outside.exists():
        _check_outside(outside, report)
    return report


def back_up_log(folder: Path, target: Path) -> LogReport:
    """Copy a log into an empty folder while a server may write it, and check the copy.

    The copy holds all rows up to one of them, among them all that were there when it began, but for
    those of old segments that the server removes meanwhile. Raises `InvalidDataError` for a folder
    without a log and for a target that holds something.
    """
    files = [*segments(folder)]
    outside = folder / OUTSIDE_FILE
    if outside.exists():
        files.insert(0, outside)
    if not files:
        raise InvalidDataError(str(folder), "holds no event log: no visits-*.sqlite")
    _make_empty(target)
    for file in files:
        # The oldest may be removed meanwhile; of what comes meanwhile nothing need follow.
        if file.exists():
            _copy(file, target / file.name)
    if (folder / GAP_FILE).exists():
        (target / GAP_FILE).touch()
    return check_log(target)


def restore_log(backup: Path, target: Path) -> LogReport:
    """Bring a copy that is whole into an empty folder, where a server may open it.

    Raises `InvalidDataError` for a copy that is not whole, and for a target that holds something.
    """
    report = check_log(backup)
    if not report.is_whole:
        raise InvalidDataError(str(backup), f"is not whole: {report.problems[0]}")
    return back_up_log(backup, target)


def _check_segment(segment: Path, place: int | None, report: LogReport) -> int | None:
    found = FileReport(segment.name, segment_bytes(segment))
    report.files.append(found)
    problem = _quick_check(segment)
    if problem:
        _note(report, f"{segment.name}: {problem}")
        return None
    first = int(segment.stem.rpartition("-")[2])
    if place is not None and first != place + 1:
        _note(report, f"{segment.name} begins at row {first}, the one before ends at {place}")
    place = first - 1
    for visit in read_rows(segment, after=0):
        if visit.position != place + 1:
            _note(report, f"{segment.name}: row {place + 1} is missing")
        place = visit.position
        found.take(visit.received_time_us)
        if visit.session_id:
            found.sessions.add(visit.key)
        if visit.kind == RowKind.GAP:
            found.gaps += 1
            continue
        if visit.kind == RowKind.ERASED:
            found.erased += 1
            continue
        try:
            found.events += len(visit.call().events)
        except DecodeError as error:
            _note(report, f"{segment.name}: row {place} can't be read: {error}")
    return place


def _check_outside(path: Path, report: LogReport) -> None:
    found = FileReport(path.name, segment_bytes(path))
    report.files.append(found)
    problem = _quick_check(path)
    if problem:
        _note(report, f"{path.name}: {problem}")
        return
    for number, event in read_outside_visits(path):
        found.take(event.received_time_us)
        found.events += 1
        try:
            events_pb2.Event.FromString(event.event)
        except DecodeError as error:
            _note(report, f"{path.name}: row {number} can't be read: {error}")


def _quick_check(path: Path) -> str:
    try:
        with closing(connect(path)) as connection:
            connection.execute("PRAGMA query_only = 1")
            told = [line for (line,) in connection.execute("PRAGMA quick_check")]
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if told == ["ok"] else "; ".join(told[:3])


def _note(report: LogReport, problem: str) -> None:
    if len(report.problems) < _MOST_PROBLEMS:
        report.problems.append(problem)


def _copy(source: Path, target: Path) -> None:
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(connect(source)) as own, closing(connect(target)) as copy:
            own.backup(copy, pages=_PAGES_AT_ONCE, sleep=0.0)
    except sqlite3.DatabaseError as error:
        raise InvalidDataError(str(source), f"can't be copied: {error}") from None


def _make_empty(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InvalidDataError(str(folder), "holds something already; a copy needs an empty folder")

"""Where logged calls and events outside visits come from: a server's folder, or its like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from micromoment.errors import InvalidDataError
from micromoment.stores.event_log import OUTSIDE_FILE, LoggedEvent, read_outside_visits
from micromoment.stores.log_rows import LoggedVisit
from micromoment.stores.log_segments import read_rows, segments


@dataclass(frozen=True, slots=True)
class LogSource:
    """A log to read once, each part in order of arrival.

    `parts` names what rows are counted by; each row comes with its part's number. `outside` gives
    the row's number in its part as well.
    """

    parts: tuple[Path, ...]
    visits: Iterable[tuple[int, LoggedVisit]]
    outside: Iterable[tuple[int, int, LoggedEvent]] = ()


def log_folder(folder: Path) -> LogSource:
    """Open a server's event log: its segments and its events outside visits.

    Raises `InvalidDataError` for a folder that holds neither.
    """
    files = tuple(segments(folder))
    outside = folder / OUTSIDE_FILE
    if not outside.exists():
        if not files:
            raise InvalidDataError(str(folder), "holds no event log: no visits-*.sqlite")
        return LogSource(files, _visits(files))
    return LogSource((*files, outside), _visits(files), _outside(len(files), outside))


def visits_of(folder: Path) -> Iterator[LoggedVisit]:
    """Go through the logged calls of a folder. Raises `InvalidDataError` where there are none."""
    files = segments(folder)
    if not files:
        raise InvalidDataError(str(folder), "holds no event log: no visits-*.sqlite")
    for segment in files:
        yield from read_rows(segment)


def outside_of(folder: Path) -> Iterator[LoggedEvent]:
    """Go through the events outside visits of a folder, if there are any."""
    path = folder / OUTSIDE_FILE
    if path.exists():
        for _, event in read_outside_visits(path):
            yield event


def _visits(files: tuple[Path, ...]) -> Iterator[tuple[int, LoggedVisit]]:
    for number, segment in enumerate(files):
        for visit in read_rows(segment):
            yield number, visit


def _outside(part: int, path: Path) -> Iterator[tuple[int, int, LoggedEvent]]:
    for sequence, event in read_outside_visits(path):
        yield part, sequence, event

"""Where logged calls and events outside visits come from: a server's folder, or its like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from micromoment.errors import InvalidDataError
from micromoment.stores.event_log import OUTSIDE_FILE, LoggedEvent, read_outside_visits
from micromoment.stores.log_rows import LoggedVisit
from micromoment.stores.log_segments import read_rows, segments
from micromoment.stores.redis_keys import DEFAULT_PREFIX
from micromoment.stores.redis_log import entry_id_of, is_redis, read_stream, stream_name
from micromoment.stores.redis_outside_visits import outside_stream_name, read_outside_stream
from training.importers.tally import RowName, row_number


@dataclass(frozen=True, slots=True)
class LogSource:
    """A log to read once, each part in order of arrival.

    `parts` names what rows are counted by; each row comes with its part's number. `outside` gives
    the row's number in its part as well. `row_name` says what reports call a row of a part.
    """

    parts: tuple[Path, ...]
    visits: Iterable[tuple[int, LoggedVisit]]
    outside: Iterable[tuple[int, int, LoggedEvent]] = ()
    row_name: RowName = row_number


def log_source(where: str, prefix: str = DEFAULT_PREFIX) -> LogSource:
    """Open a server's event log: a folder, or the Redis at a `redis://` URL.

    `prefix` is what the servers' keys in Redis begin with. Raises `InvalidDataError` for a folder
    that holds no log.
    """
    if is_redis(where):
        parts = (Path(stream_name(prefix)), Path(outside_stream_name(prefix)))
        visits = ((0, visit) for visit in read_stream(where, prefix=prefix))
        outside = ((1, *one) for one in read_outside_stream(where, prefix=prefix))
        return LogSource(parts, visits, outside, _entry_name)
    folder = Path(where)
    files = tuple(segments(folder))
    outside_file = folder / OUTSIDE_FILE
    if not outside_file.exists():
        if not files:
            raise InvalidDataError(str(folder), "holds no event log: no visits-*.sqlite")
        return LogSource(files, _visits(files))
    return LogSource((*files, outside_file), _visits(files), _outside(len(files), outside_file))


def visits_of(where: str, prefix: str = DEFAULT_PREFIX) -> Iterator[LoggedVisit]:
    """Go through the logged calls of a log. Raises `InvalidDataError` where there are none."""
    for _, visit in log_source(where, prefix).visits:
        yield visit


def outside_of(where: str, prefix: str = DEFAULT_PREFIX) -> Iterator[LoggedEvent]:
    """Go through the events outside visits of a log, if there are any."""
    for _, _, event in log_source(where, prefix).outside:
        yield event


def _entry_name(part: int, row: int) -> str:
    return entry_id_of(row) if part == 0 else f"event {row}"


def _visits(files: tuple[Path, ...]) -> Iterator[tuple[int, LoggedVisit]]:
    for number, segment in enumerate(files):
        for visit in read_rows(segment):
            yield number, visit


def _outside(part: int, path: Path) -> Iterator[tuple[int, int, LoggedEvent]]:
    for sequence, event in read_outside_visits(path):
        yield part, sequence, event

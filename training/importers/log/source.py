"""Where logged calls and events outside visits come from: a server's folder, or its like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from micromoment.errors import InvalidDataError
from micromoment.security.callers import DEFAULT_TENANT
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
    `others` counts what belongs to other tenants and was passed over.
    """

    parts: tuple[Path, ...]
    visits: Iterable[tuple[int, LoggedVisit]]
    outside: Iterable[tuple[int, int, LoggedEvent]] = ()
    row_name: RowName = row_number
    others: Counter[str] = field(default_factory=Counter)

    def left_out(self) -> list[str]:
        """Say, once all is read, what belongs to other tenants."""
        return [
            f"{count:,} {what} of other tenants are left out (--tenant)"
            for what, count in sorted(self.others.items())
        ]


def log_source(
    where: str, prefix: str = DEFAULT_PREFIX, tenant: str | None = DEFAULT_TENANT
) -> LogSource:
    """Open a server's event log: a folder, or the Redis at a `redis://` URL.

    What it gives is that of one `tenant`, None for all. `prefix` is what the servers' keys in Redis
    begin with. Raises `InvalidDataError` for a folder that holds no log.
    """
    if is_redis(where):
        parts = (Path(stream_name(prefix)), Path(outside_stream_name(prefix)))
        visits = ((0, visit) for visit in read_stream(where, prefix=prefix))
        outside = ((1, *one) for one in read_outside_stream(where, prefix=prefix))
        return _of_tenant(LogSource(parts, visits, outside, _entry_name), tenant)
    folder = Path(where)
    files = tuple(segments(folder))
    outside_file = folder / OUTSIDE_FILE
    if not outside_file.exists():
        if not files:
            raise InvalidDataError(str(folder), "holds no event log: no visits-*.sqlite")
        return _of_tenant(LogSource(files, _visits(files)), tenant)
    every = (*files, outside_file)
    return _of_tenant(LogSource(every, _visits(files), _outside(len(files), outside_file)), tenant)


def visits_of(
    where: str, prefix: str = DEFAULT_PREFIX, tenant: str | None = None
) -> Iterator[LoggedVisit]:
    """Go through the logged calls of a tenant, by default of all.

    Raises `InvalidDataError` where there is no log.
    """
    for _, visit in log_source(where, prefix, tenant).visits:
        yield visit


def _of_tenant(source: LogSource, tenant: str | None) -> LogSource:
    if tenant is None:
        return source
    others: Counter[str] = Counter()

    def visits() -> Iterator[tuple[int, LoggedVisit]]:
        for part, visit in source.visits:
            # What names no tenant is everybody's, such as a gap.
            if visit.tenant == tenant or not visit.tenant:
                yield part, visit
            else:
                others["calls"] += 1

    def outside() -> Iterator[tuple[int, int, LoggedEvent]]:
        for part, row, event in source.outside:
            if event.tenant == tenant:
                yield part, row, event
            else:
                others["events outside visits"] += 1

    return LogSource(source.parts, visits(), outside(), source.row_name, others)


def _entry_name(part: int, row: int) -> str:
    return entry_id_of(row) if part == 0 else f"event {row}"


def _visits(files: tuple[Path, ...]) -> Iterator[tuple[int, LoggedVisit]]:
    for number, segment in enumerate(files):
        for visit in read_rows(segment):
            yield number, visit


def _outside(part: int, path: Path) -> Iterator[tuple[int, int, LoggedEvent]]:
    for sequence, event in read_outside_visits(path):
        yield part, sequence, event

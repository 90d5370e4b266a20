"""The event log from wherever it is kept: the segments in a folder, or the stream in a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from micromoment.errors import InvalidDataError
from micromoment.stores.log_rows import LoggedVisit
from micromoment.stores.log_segments import read_rows, segments
from micromoment.stores.redis_log import DEFAULT_PREFIX, read_stream

_REDIS: Final = ("redis://", "rediss://")


def logged_visits(source: str | Path, *, prefix: str = DEFAULT_PREFIX) -> Iterator[LoggedVisit]:
    """Go through a log in the order of arrival: a folder's, or that of a `redis://` URL.

    `prefix` is what the servers' keys in Redis begin with. Raises `InvalidDataError` for a log that
    isn't there or is damaged.
    """
    if isinstance(source, str) and source.startswith(_REDIS):
        yield from read_stream(source, prefix=prefix)
        return
    folder = Path(source)
    if not folder.is_dir():
        raise InvalidDataError(str(folder), "no event log is there")
    for segment in segments(folder):
        yield from read_rows(segment)

"""Small files of Segment calls, as the tests of the importer need them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from training.importers import ImportReport, import_segment

Call = dict[str, Any]

DAY = "2024-05-01"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def iso(minutes: float) -> str:
    """Give the time so many minutes after noon of `DAY` as Segment writes it."""
    moment = NOON + timedelta(minutes=minutes)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def call(kind: str, minutes: float = 0, **fields: object) -> Call:
    """Make a call with ids and times of its own; `fields` replaces fields, None leaves them out."""
    made = {
        "type": kind,
        "messageId": f"{kind}-{minutes}",
        "anonymousId": "browser",
        "timestamp": iso(minutes),
        "receivedAt": iso(minutes + 0.01),
        **fields,
    }
    return {name: value for name, value in made.items() if value is not None}


def track(event: str | None, minutes: float = 0, **fields: object) -> Call:
    """Make a track call."""
    return call("track", minutes, **{"messageId": f"{event}-{minutes}", "event": event, **fields})


def write_lines(path: Path, lines: Iterable[Call | str | bytes]) -> Path:
    """Write calls, or lines as they are, to a file of JSON lines, gzipped if it is named so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = b"\n".join(_raw(line) for line in lines) + b"\n"
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
    return path


def imported(
    tmp_path: Path,
    lines: Sequence[Call | str | bytes],
    **options: Any,  # noqa: ANN401 - those of the importer
) -> tuple[list[Call], ImportReport]:
    """Import calls from one file, and give all events in the order of days, and the report."""
    path = write_lines(tmp_path / "calls" / "calls.jsonl", lines)
    report = import_segment(path, tmp_path / "events", **options)
    return events_of(tmp_path / "events"), report


def events_of(folder: Path) -> list[Call]:
    """Read the events of all days."""
    return [
        row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def _raw(line: Call | str | bytes) -> bytes:
    if isinstance(line, bytes):
        return line
    return (line if isinstance(line, str) else json.dumps(line)).encode()

"""Remembers who denied analytics in rows that an import drops: by a hash of the visitor, and when.

Without it nobody could tell that a visitor whose earlier events are there has said no since, and
lists of an audience would go on naming them. They read it (`training/audiences/people.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from training.consented import REASON
from training.importers.engine import file_list, literal
from training.importers.event_folder import STATE_NAME, EventFolder

KIND: Final = "denials"
_SCHEMA: Final = pa.schema([("visitor", pa.string()), ("denied_us", pa.int64())])

# Visitor, day, and time in microseconds since 1970.
Denial = tuple[str, date, int]


def visitor_hash(visitor: str) -> str:
    """Give what a visitor is remembered by."""
    return sha256(visitor.encode()).hexdigest()[:32]


def denials_in(db: duckdb.DuckDBPyConnection, rows: list[Path]) -> list[Denial]:
    """List who denied analytics in staged rows, each visitor with the last time of each day."""
    if not rows:
        return []
    query = f"""
        SELECT coalesce(nullif(trim(user_id), ''), nullif(trim(anonymous_id), '')) AS visitor,
            TRY_CAST(day AS DATE) AS day, max(event_time)
        FROM read_parquet({file_list(rows)}, hive_partitioning = false)
        WHERE dropped = {literal(REASON)} AND visitor IS NOT NULL
            AND TRY_CAST(day AS DATE) IS NOT NULL AND event_time IS NOT NULL
        GROUP BY ALL
    """  # noqa: S608 - our own names  # nosec B608
    return db.sql(query).fetchall()


def stage_denials(folder: EventFolder, denials: Iterable[Denial]) -> None:
    """Write them by day, in place of those of an earlier import of the same day."""
    by_day: dict[date, dict[str, int]] = defaultdict(dict)
    for visitor, day, time_us in denials:
        hashed = visitor_hash(visitor)
        by_day[day][hashed] = max(time_us, by_day[day].get(hashed, time_us))
    for day, found in by_day.items():
        rows = [{"visitor": hashed, "denied_us": time} for hashed, time in sorted(found.items())]
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), folder.staged_state(KIND, day))


def read_denials(events: Path) -> dict[str, int]:
    """Give the last time of each visitor's denials in a folder of events, by `visitor_hash`."""
    last: dict[str, int] = {}
    for path in sorted((events / STATE_NAME / KIND).glob("*.parquet")):
        table = pq.read_table(path, schema=_SCHEMA)
        for hashed, time_us in zip(*(column.to_pylist() for column in table.columns), strict=True):
            last[hashed] = max(time_us, last.get(hashed, time_us))
    return last


def denials_renamed(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """Give a day's denials with other hashes of the visitors in `names`; the rest stays.

    Of two rows that come to be one visitor's the last counts.
    """
    last: dict[str, int] = {}
    for hashed, time_us in zip(*(table[name].to_pylist() for name in _SCHEMA.names), strict=True):
        named = names.get(hashed, hashed)
        last[named] = max(time_us, last.get(named, time_us))
    rows = [{"visitor": hashed, "denied_us": time_us} for hashed, time_us in sorted(last.items())]
    return pa.Table.from_pylist(rows, _SCHEMA)

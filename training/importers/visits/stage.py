"""From event rows in any order to rows with sessions, partitioned by shop-day.

What a folder of events holds already goes on: messages that it has are merged, and a session that
was cut there continues.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from training.importers.counting import by_reason
from training.importers.engine import copy_parts, file_list, literal, script
from training.importers.event_folder import EventFolder
from training.importers.event_writer import ROW_GROUP_ROWS
from training.importers.ga4_stage import Stage
from training.importers.tally import Tally
from training.importers.visits.cuts import SessionCutter, SessionRules

_NO_EVENTS: Final = (
    "(SELECT '' AS event_id, '' AS session_id, CAST(NULL AS TIMESTAMPTZ) AS event_time,"
    " '' AS anonymous_id, '' AS user_id, '' AS referrer_campaign LIMIT 0)"
)
_CUT_SCHEMA: Final = pa.schema(
    [("file_no", pa.int32()), ("row_no", pa.int64()), ("session_id", pa.string())]
)


def stage_visits(
    db: duckdb.DuckDBPyConnection,
    rows: Sequence[Path],
    folder: EventFolder,
    time_zone: str,
    rules: SessionRules,
    tally: Tally,
    *,
    duplicates: str,
) -> Stage:
    """Cut the event rows (see rows.sql) of files into sessions; count what is dropped and merged.

    The order of rows and files means nothing.
    """
    source = f"read_parquet({file_list(rows)})"
    tally.add("dropped", by_reason(db, source, "dropped", "dropped IS NOT NULL"))
    _take_earlier_days(db, source, folder, time_zone, rules)
    db.execute(script("visits/messages", rows=source))
    repeated = f"{source} ANTI JOIN messages USING (file_no, row_no)"
    tally.add("merged", by_reason(db, repeated, literal(duplicates), "dropped IS NULL"))
    cut = _cut_sessions(db, folder.work / "cut.parquet", rules)
    db.execute(script("visits/sessions", cut=f"read_parquet({file_list([cut])})"))
    copy_parts(db, script("visits/staged", rows=source), folder.work / "staged" / "visits")
    return Stage(folder.work / "staged")


def _take_earlier_days(
    db: duckdb.DuckDBPyConnection,
    source: str,
    folder: EventFolder,
    time_zone: str,
    rules: SessionRules,
) -> None:
    (found,) = db.sql(script("visits/first_day", rows=source)).fetchall()
    files = _days_before(folder, date.fromisoformat(found[0]), rules) if found[0] else []
    events = f"read_parquet({file_list(files)})" if files else _NO_EVENTS
    db.execute(script("visits/earlier", events=events, zone=time_zone))


def _days_before(folder: EventFolder, first: date, rules: SessionRules) -> list[Path]:
    # The days before in which a session of the first day may have begun.
    begin = first - timedelta(days=-(-rules.max_hours // 24) + 1)
    return [
        folder.path / f"{day}.parquet" for day in folder.existing_days() if begin <= day < first
    ]


def _cut_sessions(db: duckdb.DuckDBPyConnection, path: Path, rules: SessionRules) -> Path:
    query = script("visits/visitors", lookback=rules.span_us)
    cutter = SessionCutter(rules)
    with pq.ParquetWriter(path, _CUT_SCHEMA, compression="lz4") as writer:
        for batch in db.sql(query).to_arrow_reader(ROW_GROUP_ROWS):
            writer.write_table(_named(batch, cutter))
    return path


def _named(batch: pa.RecordBatch, cutter: SessionCutter) -> pa.Table:
    columns = ("visitor", "event_time", "day", "campaign_key", "session_id")
    moments: Iterator[tuple[str, int, str, str | None, str | None]] = zip(
        *(batch[name].to_pylist() for name in columns), strict=True
    )
    names = pa.array([cutter.session_of(*moment) for moment in moments], pa.string())
    return pa.table([batch["file_no"], batch["row_no"], names], schema=_CUT_SCHEMA)

"""From the lines of order tables to events: which line belongs to which purchase or refund."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from training.importers.counting import by_reason
from training.importers.engine import copy_parts, file_list, script
from training.importers.event_folder import EventFolder
from training.importers.event_writer import ROW_GROUP_ROWS
from training.importers.ga4_stage import Stage
from training.importers.table.mapping import OrdersMapping
from training.importers.table.refunds import OrderLine, link_refunds
from training.importers.tally import Tally
from training.importers.visits.rows import DayRange

_LINK_SCHEMA: Final = pa.schema(
    [("file_no", pa.int32()), ("row_no", pa.int64()), ("original_order_id", pa.string())]
)
_NO_EVENTS: Final = (
    "(SELECT '' AS user_id, '' AS order_id, '' AS session_id, 0::BIGINT AS source_seq,"
    " '' AS type, CAST(NULL AS TIMESTAMPTZ) AS event_time, CAST(NULL AS STRUCT(item_id VARCHAR,"
    " quantity INTEGER, price_micros BIGINT)[]) AS items LIMIT 0)"
)


def make_events(
    db: duckdb.DuckDBPyConnection,
    lines: str,
    folder: EventFolder,
    mapping: OrdersMapping,
    tally: Tally,
) -> None:
    """Name the event of each usable line of the SQL source `lines` in the table `line_events`.

    Counts what is dropped and merged.
    """
    tally.add("dropped", by_reason(db, lines, "dropped", "dropped IS NOT NULL"))
    earlier = _days_before(db, lines, folder, mapping.time_zone)
    events = f"read_parquet({file_list(earlier)})" if earlier else _NO_EVENTS
    db.execute(script("table/earlier_orders", events=events))
    keeps = mapping.duplicates == "keep"
    db.execute(script("table/usable_lines", lines=lines, keeps_duplicates=keeps))
    repeated = f"{lines} ANTI JOIN usable_lines USING (file_no, row_no)"
    tally.add("merged", by_reason(db, repeated, "'duplicate_row'", "dropped IS NULL"))
    links = file_list([_write_links(db, folder.work / "links.parquet")])
    db.execute(script("table/order_events", found=f"read_parquet({links})", zone=mapping.time_zone))


def stage_lines(
    db: duckdb.DuckDBPyConnection, lines: str, folder: Path, days: DayRange, tally: Tally
) -> Stage:
    """Write the lines with their events into `folder`, by the day of the event."""
    first_day, last_day = days.bounds
    outside = f"day NOT BETWEEN '{first_day}' AND '{last_day}'"
    events = "line_events JOIN order_events USING (event_id)"
    tally.add("dropped", by_reason(db, events, "'outside_days'", outside))
    query = script("table/staged_lines", lines=lines, first_day=first_day, last_day=last_day)
    copy_parts(db, query, folder / "orders")
    return Stage(folder)


def _days_before(
    db: duckdb.DuckDBPyConnection, lines: str, folder: EventFolder, time_zone: str
) -> list[Path]:
    ((first,),) = db.sql(script("table/first_day", lines=lines, zone=time_zone)).fetchall()
    if first is None:
        return []
    days = [day for day in folder.existing_days() if day < date.fromisoformat(first)]
    return [folder.path / f"{day}.parquet" for day in days]


def _write_links(db: duckdb.DuckDBPyConnection, path: Path) -> Path:
    links = link_refunds(_lines(db))
    with pq.ParquetWriter(path, _LINK_SCHEMA, compression="lz4") as writer:
        while chunk := [link for _, link in zip(range(ROW_GROUP_ROWS), links, strict=False)]:
            keys, orders = zip(*chunk, strict=True)
            file_nos, row_nos = zip(*keys, strict=True)
            writer.write_table(pa.table([file_nos, row_nos, orders], schema=_LINK_SCHEMA))
    return path


def _lines(db: duckdb.DuckDBPyConnection) -> Iterator[OrderLine]:
    for batch in db.sql(script("table/refund_lines")).to_arrow_reader(ROW_GROUP_ROWS):
        *values, file_nos, row_nos = (column.to_pylist() for column in batch.columns)
        keys = zip(file_nos, row_nos, strict=True)
        yield from map(OrderLine, *values, keys)

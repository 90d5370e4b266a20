"""From staged order lines of one shop-day to its file of purchases and refunds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb

from micromoment.events.limits import MAX_ITEMS
from training.importers.counting import by_reason, by_tag
from training.importers.engine import file_list, script
from training.importers.event_folder import EventFolder
from training.importers.event_writer import ROW_GROUP_ROWS, write_events
from training.importers.tally import Tally


def write_order_day(
    db: duckdb.DuckDBPyConnection, day: date, staged: Sequence[Path], folder: EventFolder
) -> int:
    """Write one day's events into the folder's work place and give their number."""
    events = db.sql(script("table/day_orders", lines=_lines(staged), max_items=MAX_ITEMS))
    return write_events(
        folder.staged_day(day), events.to_arrow_reader(ROW_GROUP_ROWS), folder.key_id
    )


def count_lines(db: duckdb.DuckDBPyConnection, staged: Sequence[Path], tally: Tally) -> None:
    """Count what becomes of all staged lines: items of events, and what is merged with them."""
    if not staged:
        return
    lines = _lines(staged)
    is_item = f"NOT is_charge AND place <= {MAX_ITEMS}"
    kept = by_reason(db, lines, "'kept'", is_item)
    tally.add_kept((file_no, rows) for file_no, _, rows, _ in kept)
    tally.add_events(db.sql(script("table/event_counts", rows=lines)).fetchall())
    tally.add("merged", by_reason(db, lines, "'charge_in_order_value'", "is_charge"))
    beyond = f"NOT is_charge AND place > {MAX_ITEMS}"
    tally.add("merged", by_reason(db, lines, f"'over_{MAX_ITEMS}_items'", beyond))
    tally.add("cleaned", by_tag(db, lines, is_item))


def _lines(staged: Sequence[Path]) -> str:
    return f"read_parquet({file_list(staged)}, hive_partitioning = false)"

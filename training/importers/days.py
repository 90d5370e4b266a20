"""From staged rows of one shop-day to its file of canonical events.

Staged rows are Parquet files with the canonical columns and `file_no`, `row_no`, `tie_rank`,
`cleaned` and `items_viewed` (see ga4_rows.sql). Days are written in order: the rows of a session
are numbered on from the days before, and a purchase may repeat one of an earlier day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from training.importers.engine import day_literal, file_list, literal, script
from training.importers.event_folder import EventFolder
from training.importers.event_writer import ROW_GROUP_ROWS, write_events
from training.importers.page_rules import PageRules
from training.importers.tally import Tally

# A session that was silent for longer is numbered from 1 again.
SESSION_LOOKBACK_DAYS: Final = 7
# A purchase is compared with those of its visitor in these days.
PURCHASE_LOOKBACK_DAYS: Final = 90
# Purchases without an order id this close to the visitor's previous one repeat it.
REPEAT_GAP_US: Final = 30 * 60 * 1_000_000
# So many visitors of a day must have viewed products on a page for that to tell the page's type.
PAGE_VISITORS: Final = 5

_NO_SESSIONS: Final = (
    "(SELECT CAST(NULL AS DATE) AS day, '' AS session_id, 0::BIGINT AS raw_rows LIMIT 0)"
)
_NO_PURCHASES: Final = (
    "(SELECT CAST(NULL AS DATE) AS day, '' AS anonymous_id, '' AS user_id, '' AS order_id,"
    " 0::BIGINT AS event_time, '' AS event_id LIMIT 0)"
)


def write_day(
    db: duckdb.DuckDBPyConnection,
    day: date,
    staged: Sequence[Path],
    folder: EventFolder,
    rules: PageRules,
    tally: Tally,
    *,
    shop_wide_orders: bool = False,
) -> int:
    """Write one day's events and state into the folder's work place and give the events' number.

    A purchase repeats an earlier one of the same order id: of the same visitor, or of anybody where
    `shop_wide_orders` says so, as when both the browser and the shop's backend report an order.
    """
    rows = f"read_parquet({file_list(staged)}, hive_partitioning = false)"
    _place_rows(db, day, rows, folder, "''" if shop_wide_orders else "buyer")
    _count(db, rows, tally)
    _write_state(db, day, folder)
    events = script(
        "day_events",
        rows=rows,
        page_type=rules.page_type("page_id", "page_title"),
        page_visitors=PAGE_VISITORS,
    )
    return write_events(
        folder.staged_day(day), db.sql(events).to_arrow_reader(ROW_GROUP_ROWS), folder.key_id
    )


def _place_rows(
    db: duckdb.DuckDBPyConnection, day: date, rows: str, folder: EventFolder, order_scope: str
) -> None:
    sessions = folder.states("sessions", day, SESSION_LOOKBACK_DAYS)
    purchases = folder.states("purchases", day, PURCHASE_LOOKBACK_DAYS)
    db.execute(
        script(
            "day_places",
            rows=rows,
            sessions=f"read_parquet({file_list(sessions)})" if sessions else _NO_SESSIONS,
            purchases=f"read_parquet({file_list(purchases)})" if purchases else _NO_PURCHASES,
            day=day_literal(day),
            order_scope=order_scope,
            repeat_gap=REPEAT_GAP_US,
        )
    ).fetchall()


def _count(db: duckdb.DuckDBPyConnection, rows: str, tally: Tally) -> None:
    tally.add_kept(
        db.sql(
            "SELECT file_no, count(*) FROM day_places WHERE merged IS NULL GROUP BY ALL"
        ).fetchall()
    )
    tally.add_events(
        db.sql("SELECT type, count(*) FROM day_places WHERE merged IS NULL GROUP BY ALL").fetchall()
    )
    tally.add(
        "merged",
        db.sql(
            "SELECT file_no, merged, count(*), min(row_no) FROM day_places"
            " WHERE merged IS NOT NULL GROUP BY ALL"
        ).fetchall(),
    )
    tally.add("cleaned", db.sql(script("day_cleaned", rows=rows)).fetchall())


def _write_state(db: duckdb.DuckDBPyConnection, day: date, folder: EventFolder) -> None:
    for kind in ("sessions", "purchases"):
        query = script(f"day_{kind}", day=day_literal(day), events="day_places")
        _copy(db, query, folder.staged_state(kind, day))


def rebuild_state(db: duckdb.DuckDBPyConnection, folder: EventFolder, first: date) -> None:
    """Make up the state of existing days before `first` from their events, where it is gone."""
    for kind, lookback in (
        ("sessions", SESSION_LOOKBACK_DAYS),
        ("purchases", PURCHASE_LOOKBACK_DAYS),
    ):
        found = {path.stem for path in folder.states(kind, first, lookback)}
        for day in folder.existing_days():
            if 0 < (first - day).days <= lookback and day.isoformat() not in found:
                _state_of_file(db, kind, day, folder.path / f"{day}.parquet", folder)


def write_state(db: duckdb.DuckDBPyConnection, day: date, file: Path, folder: EventFolder) -> None:
    """Write the state of one day, as later days need it, from its file of events."""
    for kind in ("sessions", "purchases"):
        _state_of_file(db, kind, day, file, folder)


def _state_of_file(
    db: duckdb.DuckDBPyConnection, kind: str, day: date, file: Path, folder: EventFolder
) -> None:
    source = script("day_of_file", file=file_list([file]))
    query = script(f"day_{kind}", day=day_literal(day), events=source)
    _copy(db, query, folder.staged_state(kind, day))


def _copy(db: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    # nosemgrep: no-values-in-sql - COPY takes no parameter; the path is quoted
    db.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")

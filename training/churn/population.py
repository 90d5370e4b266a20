"""Who is asked about at a cut, and what came of them: read off the user snapshots.

A snapshot cut at midnight T holds the events before T and no other, and the one cut at the end of
the window says what came in between: by one definition of orders, visits, bots and consent.

- purchase: asked about is whoever had a standing order at T. The customer churned when the last
  standing order, as known at the window's end, is from before T. So an order that was undone as a
  whole by then does not count, one that is undone later does: nobody could have known. Who came
  back has `orders` and `value` more than at T, less what was undone of earlier ones meanwhile: at
  least one, and not below 0.
- activity: asked about is whoever had an event on the 7 shop-days before T. The visitor churned
  when their last event, as known at the window's end, is from before T.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from micromoment.events.shop import Shop
from training.churn.cuts import CutPlan
from training.snapshots.cuts import Cut, cut_at

if TYPE_CHECKING:
    import duckdb

_LIMITS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "1GB",
    "threads": 2,
}
# Of orders only the rows where they changed are needed: few, of many days.
_LOAD: Final = {
    "purchase": """
CREATE TABLE known AS
SELECT visitor_id, snapshot_time, orders, last_order, order_value FROM read_parquet($files)
WHERE snapshot_time <= $end_us
QUALIFY (orders, last_order, order_value) IS DISTINCT FROM lag((orders, last_order, order_value))
    OVER (PARTITION BY visitor_id ORDER BY snapshot_time) AND (orders > 0 OR lag(orders) OVER (
    PARTITION BY visitor_id ORDER BY snapshot_time) > 0)
""",
    "activity": """
CREATE TABLE known AS
SELECT visitor_id, snapshot_time, active_days_7d, last_seen FROM read_parquet($files)
WHERE snapshot_time <= $end_us AND last_seen >= snapshot_time - 21 * 86400000000
""",
}
# Whoever was active in the 57 days before a cut has a row of that cut.
_ASK: Final = {
    "purchase": """
WITH now AS (
    SELECT visitor_id, max_by(orders, snapshot_time) AS orders,
        max_by(order_value, snapshot_time) AS value FROM known
    WHERE snapshot_time <= $cut_us GROUP BY visitor_id HAVING max_by(orders, snapshot_time) > 0
), later AS (
    SELECT visitor_id, max_by(last_order, snapshot_time) AS latest,
        max_by(orders, snapshot_time) AS orders, max_by(order_value, snapshot_time) AS value
    FROM known
    WHERE snapshot_time <= $end_us GROUP BY visitor_id
)
SELECT visitor_id, latest < $cut_us AS churned,
    CASE WHEN churned THEN 0 ELSE greatest(later.orders - now.orders, 1) END AS orders,
    CASE WHEN churned THEN 0 ELSE greatest(later.value - now.value, 0) / 1e6 END AS value
FROM now JOIN later USING (visitor_id)
""",
    "activity": """
SELECT now.visitor_id, later.last_seen < $cut_us AS churned, 0 AS orders, 0.0 AS value
FROM known AS now JOIN known AS later USING (visitor_id)
WHERE now.snapshot_time = $cut_us AND now.active_days_7d > 0 AND later.snapshot_time = $end_us
""",
}
_PARTS: Final = 1 << 20


def labelled_visitors(
    snapshots: Path, plan: CutPlan, shop: Shop, max_rows: int
) -> list[tuple[date, pa.Table]]:
    """Give, for each cut, all who are asked about, by visitor id.

    Columns are `visitor_id`, `churned`, and for purchases `orders` and `value`, the latter in the
    shop's currency, of the window; 0 for activity.

    Above `max_rows` in all, a share of the visitors is taken, chosen by a hash of their ids, with
    all their cuts. The snapshots must reach to the end of the last window.
    """
    import duckdb  # noqa: PLC0415 - part of the training extra

    if not plan.cuts:
        return []
    with (
        TemporaryDirectory() as scratch,
        duckdb.connect(Path(scratch) / "churn.duckdb", config=_LIMITS) as database,
    ):
        windows = [_window(cut, plan.target.horizon_days, shop) for cut in plan.cuts]
        files = [str(path) for path in sorted(snapshots.glob("*.parquet"))]
        database.execute(_LOAD[plan.target.kind], {"files": files, "end_us": windows[-1]["end_us"]})
        ask = _ASK[plan.target.kind]
        kept = _kept(database, ask, windows, max_rows)
        query = (
            f"SELECT visitor_id, churned, orders, value FROM ({ask}) AS asked "  # noqa: S608 - of this module alone  # nosec B608
            f"WHERE md5_number_lower(visitor_id) % {_PARTS} < {kept} ORDER BY visitor_id"
        )
        return [
            (cut, database.sql(query, params=window).to_arrow_table())
            for cut, window in zip(plan.cuts, windows, strict=True)
        ]


def _window(cut: date, horizon_days: int, shop: Shop) -> dict[str, int]:
    end = cut + timedelta(days=horizon_days)
    return {"cut_us": cut_at(cut, shop).time_us, "end_us": cut_at(end, shop).time_us}


def _kept(
    database: duckdb.DuckDBPyConnection,
    ask: str,
    windows: Sequence[dict[str, int]],
    max_rows: int,
) -> int:
    count = f"SELECT count(*) FROM ({ask})"  # noqa: S608 - of this module alone  # nosec B608
    total = sum(database.execute(count, window).fetchall()[0][0] for window in windows)
    return _PARTS if total <= max_rows else _PARTS * max_rows // total


def customers_at(snapshots: Path, cut: Cut, max_rows: int) -> pa.Array:
    """Give the ids of all who have a standing order at a cut, at most about `max_rows`."""
    import duckdb  # noqa: PLC0415 - part of the training extra

    files = [str(path) for path in sorted(snapshots.glob("*.parquet"))]
    query = """
    SELECT visitor_id FROM read_parquet($files) WHERE snapshot_time <= $cut_us
    GROUP BY visitor_id HAVING max_by(orders, snapshot_time) > 0
    ORDER BY md5(visitor_id) LIMIT $most
    """
    with duckdb.connect(config=_LIMITS) as database:
        inputs = {"files": files, "cut_us": cut.time_us, "most": max_rows}
        table: pa.Table = database.sql(query, params=inputs).to_arrow_table()
    return table["visitor_id"].combine_chunks()

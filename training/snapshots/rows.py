"""The snapshot rows of one cut, from the aggregates that `loading` has made.

A row is written where its values can differ from those of the visitor's row before: for visitors
active in the 57 days before the cut (the longest window, 28 + 28 days, and one day for what leaves
it), and for those whose order leaves the 365 days or was undone on the day before. All others keep
the row that they have: everything in it but `snapshot_time` still holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from micromoment.features.user_snapshot import RENEWED_DAYS, SNAPSHOT_COLUMNS
from training.snapshots.cuts import Cut

if TYPE_CHECKING:
    import duckdb

AVAILABLE_AT: Final = "available_at"
CREATED_AT: Final = "created_timestamp"

_TIME: Final = pa.timestamp("us", tz="UTC")

SNAPSHOT_SCHEMA: Final = pa.schema(
    [
        pa.field("visitor_id", pa.string(), nullable=False),
        *(pa.field(column.name, pa.int64(), nullable=False) for column in SNAPSHOT_COLUMNS),
        pa.field(AVAILABLE_AT, _TIME, nullable=False),
        pa.field(CREATED_AT, _TIME, nullable=False),
    ]
)


# An order stands unless it was cancelled, or refunded as a whole: by a refund without a value, of
# an order without one, or of all of its value.
_CUT: Final = """
WITH undone AS (
    SELECT order_id, bool_or(whole) AS whole, sum(value) AS refunded
    FROM undoings WHERE number < $day GROUP BY order_id
), written AS (
    SELECT visitor FROM visitor_days
    WHERE number < $day AND (number >= $day - $active_days OR $everybody)
    UNION
    SELECT visitor FROM orders WHERE number = $day - 366
    UNION
    SELECT visitor FROM orders
    WHERE order_id IN (SELECT order_id FROM undoings WHERE number = $day - 1)
), placed AS (
    SELECT orders.visitor, orders.us, orders.number, orders.discounted,
           orders.value - coalesce(undone.refunded, 0) AS value,
           undone.order_id IS NOT NULL AS undone,
           undone.order_id IS NULL OR coalesce(
               NOT undone.whole AND undone.refunded < orders.value, false) AS stands
    FROM orders SEMI JOIN written USING (visitor) LEFT JOIN undone USING (order_id)
    WHERE orders.number < $day
), bought AS (
    SELECT visitor, min(us) FILTER (stands) AS first_order, max(us) FILTER (stands) AS last_order,
           count(*) FILTER (stands) AS orders,
           sum(value) FILTER (stands) AS order_value,
           count(*) FILTER (stands AND number >= $day - 365) AS orders_365d,
           sum(value) FILTER (stands AND number >= $day - 365) AS order_value_365d,
           count(*) FILTER (
               stands AND discounted AND number >= $day - 365) AS discount_orders_365d,
           count(*) FILTER (undone) AS orders_undone,
           count(*) FILTER (NOT stands) AS orders_undone_whole
    FROM placed GROUP BY visitor
), order_days AS (
    SELECT visitor, number, min(us) AS us FROM placed WHERE stands GROUP BY visitor, number
), gaps AS (
    SELECT visitor, us - lag(us) OVER (PARTITION BY visitor ORDER BY number) AS gap FROM order_days
), rhythm AS (
    SELECT visitor, count(*) AS order_days,
           CASE WHEN count(gap) >= 2 THEN floor(median(gap))::BIGINT END AS order_gap_us
    FROM gaps GROUP BY visitor
), seen AS (
    SELECT visitor, min(first_us) AS first_seen, max(last_us) AS last_seen,
           sum(sessions) AS sessions,
           sum(sessions) FILTER (recent_30) AS sessions_30d,
           count(*) FILTER (recent_28) AS active_days_28d,
           count(*) FILTER (number BETWEEN $day - 56 AND $day - 29) AS active_days_29_56d,
           count(*) FILTER (number >= $day - 7) AS active_days_7d,
           count(*) AS active_days,
           sum(events) FILTER (recent_28) AS events_28d,
           sum(page_views) FILTER (recent_28) AS page_views_28d,
           sum(item_views) FILTER (recent_28) AS item_views_28d,
           sum(cart_adds) FILTER (recent_28) AS cart_adds_28d,
           sum(checkouts) FILTER (recent_28) AS checkouts_28d,
           sum(engagement_ms) FILTER (recent_28) AS engagement_ms_28d,
           arg_max(events, number) AS events_last_day,
           max(last_cart_add) AS last_cart_add
    FROM (SELECT *, number >= $day - 28 AS recent_28, number >= $day - 30 AS recent_30
          FROM visitor_days SEMI JOIN written USING (visitor) WHERE number < $day)
    GROUP BY visitor
)
SELECT names.visitor_id, $time_us::BIGINT AS snapshot_time, {columns}
FROM seen JOIN names USING (visitor)
LEFT JOIN bought USING (visitor) LEFT JOIN rhythm USING (visitor)
ORDER BY names.visitor_id
"""

# Sums may leave 64 bits; who has no order has 0 of everything that orders tell.
_COLUMNS: Final = ", ".join(
    f"least(coalesce({column.name}, 0), 9223372036854775807)::BIGINT AS {column.name}"
    for column in SNAPSHOT_COLUMNS
    if column.name != "snapshot_time"
)

_BATCH_ROWS: Final = 131_072


def cut_rows(
    database: duckdb.DuckDBPyConnection, cut: Cut, publish_lag: timedelta, *, everybody: bool
) -> Iterator[pa.Table]:
    """Give the rows of one cut in tables of `SNAPSHOT_SCHEMA`, in order of visitor ids."""
    inputs = {
        "day": cut.number,
        "time_us": cut.time_us,
        "active_days": RENEWED_DAYS,
        "everybody": everybody,
    }
    reader = database.sql(_CUT.format(columns=_COLUMNS), params=inputs).to_arrow_reader(_BATCH_ROWS)
    available = pa.scalar(cut.time_us + publish_lag // timedelta(microseconds=1), pa.int64())
    for batch in reader:
        times = pa.repeat(available.cast(_TIME), len(batch))
        table = pa.Table.from_batches([batch]).append_column(AVAILABLE_AT, times)
        yield table.append_column(CREATED_AT, times).cast(SNAPSHOT_SCHEMA)

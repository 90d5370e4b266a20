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
), standing AS (
    SELECT orders.visitor, orders.us, orders.number,
           orders.value - coalesce(undone.refunded, 0) AS value
    FROM orders LEFT JOIN undone USING (order_id)
    WHERE orders.number < $day AND (undone.order_id IS NULL OR coalesce(
        NOT undone.whole AND undone.refunded < orders.value, false))
), bought AS (
    SELECT visitor, max(us) AS last_order,
           count(*) FILTER (WHERE number >= $day - 365) AS orders_365d,
           sum(value) FILTER (WHERE number >= $day - 365) AS order_value_365d
    FROM standing GROUP BY visitor
), written AS (
    SELECT visitor FROM visitor_days
    WHERE number < $day AND (number >= $day - $active_days OR $everybody)
    UNION
    SELECT visitor FROM orders WHERE number = $day - 366
    UNION
    SELECT visitor FROM orders
    WHERE order_id IN (SELECT order_id FROM undoings WHERE number = $day - 1)
), seen AS (
    SELECT visitor, min(first_us) AS first_seen, max(last_us) AS last_seen,
           sum(sessions) AS sessions,
           coalesce(sum(sessions) FILTER (WHERE number >= $day - 30), 0) AS sessions_30d,
           count(*) FILTER (WHERE number >= $day - 28) AS active_days_28d,
           count(*) FILTER (WHERE number BETWEEN $day - 56 AND $day - 29) AS active_days_29_56d
    FROM visitor_days SEMI JOIN written USING (visitor)
    WHERE number < $day GROUP BY visitor
)
SELECT
    names.visitor_id,
    $time_us::BIGINT AS snapshot_time,
    first_seen,
    last_seen,
    coalesce(last_order, 0) AS last_order,
    sessions::BIGINT AS sessions,
    sessions_30d::BIGINT AS sessions_30d,
    coalesce(orders_365d, 0) AS orders_365d,
    least(coalesce(order_value_365d, 0), 9223372036854775807)::BIGINT AS order_value_365d,
    active_days_28d,
    active_days_29_56d
FROM seen JOIN names USING (visitor) LEFT JOIN bought USING (visitor)
ORDER BY names.visitor_id
"""

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
    reader = database.sql(_CUT, params=inputs).to_arrow_reader(_BATCH_ROWS)
    available = pa.scalar(cut.time_us + publish_lag // timedelta(microseconds=1), pa.int64())
    for batch in reader:
        times = pa.repeat(available.cast(_TIME), len(batch))
        table = pa.Table.from_batches([batch]).append_column(AVAILABLE_AT, times)
        yield table.append_column(CREATED_AT, times).cast(SNAPSHOT_SCHEMA)

"""Events to per-visitor-day aggregates in a DuckDB file, one day file at a time.

Tables that come of it, `number` being the shop-day's (`Cut.number`, 0 for days before 1970) and
times in microseconds since 1970:

- `visitor_days(visitor, number, first_us, last_us, sessions, events, ...)`: activity, counts of
  events by kind, engagement, and sessions begun;
- `orders(visitor, order_id, us, number, value, discounted)`: distinct orders by their first event;
- `undoings(order_id, number, whole, value)`: refunds and cancellations.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from micromoment.errors import InvalidDataError
from micromoment.events.shop import Shop
from training.snapshots.cuts import Cut, cuts_between

if TYPE_CHECKING:
    import duckdb

_TABLES: Final = """
CREATE TABLE activity (
    visitor VARCHAR, number INTEGER, first_us BIGINT, last_us BIGINT, events BIGINT,
    page_views BIGINT, item_views BIGINT, cart_adds BIGINT, checkouts BIGINT,
    engagement_ms HUGEINT, last_cart_add BIGINT
);
CREATE TABLE begun (visitor VARCHAR, session_id VARCHAR, number INTEGER);
CREATE TABLE purchases (
    visitor VARCHAR, order_id VARCHAR, us BIGINT, number INTEGER, value BIGINT,
    session_id VARCHAR, on_sale BOOLEAN
);
CREATE TABLE coupons (session_id VARCHAR, us BIGINT);
CREATE TABLE reversals (
    event_id VARCHAR, order_id VARCHAR, number INTEGER, cancelled BOOLEAN, value BIGINT
);
"""

# What an event is left out for, first reason first.
_STAGE: Final = """
CREATE OR REPLACE TEMP TABLE staged AS
WITH events AS (
    SELECT
        coalesce(nullif(user_id, ''), nullif(anonymous_id, '')) AS visitor,
        event_id, session_id, type, nullif(order_id, '') AS order_id,
        epoch_us(event_time) AS us,
        CASE WHEN $currency = '' OR coalesce(currency, '') IN ('', $currency)
             THEN value_micros END AS value,
        type IN ('refund', 'cancel') AS reverses, engagement_ms,
        CASE WHEN type = 'purchase'
             THEN len(list_filter(items, lambda item: item.on_sale)) > 0 END AS on_sale,
        is_bot, consent_analytics
    FROM read_parquet($file)
)
SELECT
    events.*, days.number,
    CASE
        WHEN us >= $end_us THEN 'after the last cut'
        WHEN is_bot THEN 'bot'
        WHEN consent_analytics = 'denied' THEN 'analytics consent denied'
        WHEN reverses AND order_id IS NULL THEN 'refund or cancellation without order_id'
        WHEN NOT reverses AND visitor IS NULL THEN 'neither user_id nor anonymous_id'
    END AS dropped
FROM events ASOF JOIN days ON events.us >= days.start_us
"""

_APPEND: Final = """
INSERT INTO activity
    SELECT visitor, number, min(us), max(us), count(*),
           count(*) FILTER (WHERE type = 'page_view'),
           count(*) FILTER (WHERE type = 'item_view'),
           count(*) FILTER (WHERE type = 'cart_add'),
           count(*) FILTER (WHERE type IN ('checkout_start', 'checkout_step', 'payment_info')),
           coalesce(sum(engagement_ms) FILTER (WHERE engagement_ms > 0), 0),
           max(us) FILTER (WHERE type = 'cart_add')
    FROM staged WHERE dropped IS NULL AND NOT reverses GROUP BY visitor, number;
INSERT INTO begun
    SELECT visitor, session_id, min(number) FROM staged
    WHERE dropped IS NULL AND NOT reverses AND session_id <> '' GROUP BY visitor, session_id;
INSERT INTO purchases
    SELECT visitor, order_id, us, number, value, session_id, coalesce(on_sale, false) FROM staged
    WHERE dropped IS NULL AND type = 'purchase';
INSERT INTO coupons
    SELECT session_id, min(us) FROM staged
    WHERE dropped IS NULL AND type = 'coupon_apply' AND session_id <> '' GROUP BY session_id;
INSERT INTO reversals
    SELECT event_id, order_id, number, type = 'cancel', value FROM staged
    WHERE dropped IS NULL AND reverses;
"""

_FINISH: Final = """
CREATE TABLE visitor_days AS
WITH sessions AS (
    SELECT visitor, number, count(*) AS sessions
    FROM (SELECT visitor, session_id, min(number) AS number FROM begun GROUP BY ALL)
    GROUP BY ALL
), days AS (
    SELECT visitor, number, min(first_us) AS first_us, max(last_us) AS last_us,
           sum(events)::INTEGER AS events, sum(page_views)::INTEGER AS page_views,
           sum(item_views)::INTEGER AS item_views, sum(cart_adds)::INTEGER AS cart_adds,
           sum(checkouts)::INTEGER AS checkouts,
           least(sum(engagement_ms), 9223372036854775807)::BIGINT AS engagement_ms,
           max(last_cart_add) AS last_cart_add
    FROM activity GROUP BY ALL
)
SELECT days.*, coalesce(sessions.sessions, 0) AS sessions
FROM days LEFT JOIN sessions USING (visitor, number);

CREATE TABLE orders AS
WITH named AS (
    SELECT * FROM purchases WHERE order_id IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY visitor, order_id
        ORDER BY us, value DESC NULLS LAST, on_sale DESC, session_id) = 1
), nameless AS (
    SELECT * FROM purchases WHERE order_id IS NULL
    QUALIFY coalesce(us - lag(us) OVER (
        PARTITION BY visitor
        ORDER BY us, value DESC NULLS LAST, on_sale DESC, session_id) > $repeat_us, true)
), applied AS (
    SELECT session_id, min(us) AS applied_us FROM coupons GROUP BY session_id
)
SELECT bought.* EXCLUDE (session_id, on_sale),
       on_sale OR coalesce(applied_us <= us, false) AS discounted
FROM (SELECT * FROM named UNION ALL SELECT * FROM nameless) AS bought
LEFT JOIN applied USING (session_id);

CREATE TABLE undoings AS
SELECT order_id, number, cancelled OR value IS NULL AS whole, value
FROM (SELECT DISTINCT * FROM reversals);
"""

# Purchases without an order id that follow one another within this time are one order.
REPEAT_US: Final = 30 * 60 * 1_000_000

_FIRST_DAY: Final = date(1970, 1, 1)


def load_events(
    database: duckdb.DuckDBPyConnection, files: list[Path], cuts: list[Cut], shop: Shop
) -> dict[str, int]:
    """Fill the tables from `files`; gives events by why they were dropped, kept ones under ''.

    Raises `InvalidDataError` naming a file that can't be read.
    """
    import duckdb  # noqa: PLC0415 - part of the training extra

    database.execute(_TABLES)
    _number_days(database, cuts, shop)
    counts: dict[str, int] = {}
    for file in files:
        inputs = {"file": str(file), "currency": shop.currency, "end_us": cuts[-1].time_us}
        try:
            database.execute(_STAGE, inputs)
        except (duckdb.Error, OSError) as error:
            raise InvalidDataError(str(file), f"can't be read as events: {error}") from error
        for reason, count in _rows(database, "SELECT dropped, count(*) FROM staged GROUP BY ALL"):
            counts[reason or ""] = counts.get(reason or "", 0) + count
        for statement in _statements(_APPEND):
            database.execute(statement)
    database.execute("DROP TABLE IF EXISTS staged")
    for statement in _statements(_FINISH):
        inputs = {"repeat_us": REPEAT_US} if "$repeat_us" in statement else {}
        database.execute(statement, inputs)
    return counts


def _number_days(database: duckdb.DuckDBPyConnection, cuts: list[Cut], shop: Shop) -> None:
    days = cuts_between(_FIRST_DAY, cuts[-1].day, shop)
    table = pa.table(
        {
            "number": pa.array([0, *(day.number for day in days)], pa.int32()),
            "start_us": pa.array([-(1 << 63), *(day.time_us for day in days)], pa.int64()),
        }
    )
    database.register("numbered", table)
    database.execute("CREATE TABLE days AS SELECT * FROM numbered")
    database.unregister("numbered")


def _statements(script: str) -> list[str]:
    return [part for part in script.split(";\n") if part.strip()]


def _rows(database: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    return database.execute(query).fetchall()

"""Counts of a folder's visits by day, and of how far visits go, by device: one query each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import duckdb

from training.consented import CONSENTED
from training.event_files import EventDays

# What a visit has reached, in order; a later step counts for the earlier ones.
STEPS: Final = (
    ("visit", "true"),
    ("product seen", "type in ('item_view', 'item_click')"),
    ("cart", "type in ('cart_add', 'cart_view')"),
    ("checkout", "type in ('checkout_start', 'checkout_step')"),
    ("payment", "type = 'payment_info'"),
    ("order", "type = 'purchase'"),
)
_MICROS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class DayCounts:
    """One shop-day; a visit counts on each day on which it has events."""

    day: date
    events: int
    visits: int
    visitors: int
    buyers: int  # visits with an order


@dataclass(frozen=True, slots=True)
class FunnelCounts:
    """Visits of one kind of device (None: all) that reached each of `STEPS` or a later one."""

    device: str | None
    reached: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Population:
    """`days` are all of the folder; the rest is of the days from `first_day` on.

    `order_value` is the mean value of an order in the shop's currency, None where orders have none.
    """

    days: tuple[DayCounts, ...]
    first_day: date | None
    funnel: tuple[FunnelCounts, ...]
    orders: int
    order_value: float | None


def count_population(days: EventDays, first_day: date | None = None) -> Population:
    """Count the events of all days; of those from `first_day` on also funnel and orders."""
    later = days.between(first=first_day)
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        orders, value = _orders(connection, later)
        return Population(
            days=_by_day(connection, days),
            first_day=first_day,
            funnel=_funnel(connection, later),
            orders=orders,
            order_value=value,
        )


def _files(days: EventDays) -> list[str]:
    return [str(path) for path in days.files.values()]


def _by_day(connection: duckdb.DuckDBPyConnection, days: EventDays) -> tuple[DayCounts, ...]:
    found = []
    for day, path in days.files.items():
        row = connection.execute(
            "select count(*), count(distinct session_id),"  # noqa: S608 - fixed text  # nosec B608
            " count(distinct coalesce(nullif(user_id, ''), anonymous_id)),"
            " count(distinct case when type = 'purchase' then session_id end)"
            f" from read_parquet($file) where {CONSENTED}",
            {"file": str(path)},
        ).fetchone()
        found.append(DayCounts(day, *(row or (0, 0, 0, 0))))
    return tuple(found)


def _funnel(connection: duckdb.DuckDBPyConnection, days: EventDays) -> tuple[FunnelCounts, ...]:
    if not days.files:
        return ()
    tests = ", ".join(f"max({test}) as step{place}" for place, (_, test) in enumerate(STEPS))
    # A step that was passed unseen (a cart page that is not tracked) was passed all the same.
    last = range(len(STEPS))
    reached = ", ".join(
        "count(*) filter (" + " or ".join(f"step{later}" for later in last if later >= place) + ")"
        for place in last
    )
    rows: Sequence[tuple[object, ...]] = connection.execute(
        f"with visits as (select session_id, any_value(device) as device, {tests}"  # noqa: S608 - fixed text  # nosec B608
        f" from read_parquet($files) where {CONSENTED} group by session_id)"
        f" select device, grouping(device), {reached} from visits"
        " group by grouping sets ((), (device)) order by 2 desc, 3 desc, 1",
        {"files": _files(days)},
    ).fetchall()
    return tuple(
        FunnelCounts(
            None if is_total else str(device or "not known"), tuple(int(str(n)) for n in counts)
        )
        for device, is_total, *counts in rows
    )


def _orders(connection: duckdb.DuckDBPyConnection, days: EventDays) -> tuple[int, float | None]:
    if not days.files:
        return 0, None
    row = connection.execute(
        "select count(*), avg(value_micros) from read_parquet($files)"  # noqa: S608 - fixed text  # nosec B608
        f" where type = 'purchase' and {CONSENTED}",
        {"files": _files(days)},
    ).fetchone()
    orders, micros = row or (0, None)
    return int(orders), None if micros is None else float(micros) / _MICROS

"""What is known of a visitor from before the visit: one row per visitor and shop-day.

A snapshot is cut at the shop's midnight and holds counts and times only. Ages and recencies are
computed from its times once, when a session takes it up (`families/user.py`), so that a row means
the same whenever it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class SnapshotColumn:
    """A column of the user view: int64 in NumPy, Parquet and Feast alike."""

    name: str
    unit: str
    meaning: str


SNAPSHOT_COLUMNS: Final = (
    SnapshotColumn("snapshot_time", "us since 1970", "when the row was cut: a shop's midnight"),
    SnapshotColumn("first_seen", "us since 1970", "first event"),
    SnapshotColumn("last_seen", "us since 1970", "last event"),
    SnapshotColumn("last_order", "us since 1970", "last order, 0 for none"),
    SnapshotColumn("sessions", "sessions", "sessions begun"),
    SnapshotColumn("sessions_30d", "sessions", "sessions begun in the 30 days before"),
    SnapshotColumn("orders_365d", "orders", "distinct orders in the 365 days before"),
    SnapshotColumn("order_value_365d", "micros", "their value in the shop's currency, where known"),
    SnapshotColumn("active_days_28d", "days", "shop-days with an event, of the 28 before"),
    SnapshotColumn("active_days_29_56d", "days", "the same, of the 28 before those"),
    SnapshotColumn("active_days_7d", "days", "shop-days with an event, of the 7 before"),
    SnapshotColumn("active_days", "days", "shop-days with an event, ever"),
    SnapshotColumn("events_28d", "events", "events of the 28 shop-days before"),
    SnapshotColumn("page_views_28d", "events", "page views among them"),
    SnapshotColumn("item_views_28d", "events", "views of products among them"),
    SnapshotColumn("cart_adds_28d", "events", "additions to the cart among them"),
    SnapshotColumn("checkouts_28d", "events", "checkout and payment events among them"),
    SnapshotColumn("engagement_ms_28d", "ms", "engagement time that they report"),
    SnapshotColumn("events_last_day", "events", "events of the last shop-day with one"),
    SnapshotColumn("first_order", "us since 1970", "first order, 0 for none"),
    SnapshotColumn("orders", "orders", "distinct orders, ever"),
    SnapshotColumn("order_days", "days", "shop-days with an order, ever"),
    SnapshotColumn("order_value", "micros", "value of all orders, ever, where known"),
    SnapshotColumn("order_gap_us", "us", "median gap between order days, 0 below two gaps"),
    SnapshotColumn("orders_undone", "orders", "cancelled or refunded, as a whole or in part"),
    SnapshotColumn("orders_undone_whole", "orders", "of these, the ones that no longer count"),
    SnapshotColumn("discount_orders_365d", "orders", "of orders_365d, those on sale or by coupon"),
    SnapshotColumn("last_cart_add", "us since 1970", "last addition to the cart, 0 for none"),
)

# A visitor away for longer keeps the row that they have: none of its values changes any more, but
# for an order that leaves its year, and then there is a new row.
RENEWED_DAYS: Final = 57

USER_SNAPSHOT: Final = np.dtype([(column.name, "i8") for column in SNAPSHOT_COLUMNS])


class UserStatus(IntEnum):
    """What came of looking a visitor up."""

    UNAVAILABLE = 0  # the store did not answer: user features are missing
    UNKNOWN = 1  # no snapshot: a visitor without history, counts are 0
    FOUND = 2


@dataclass(frozen=True, slots=True)
class UserLookup:
    """The answer to a look-up; `row` is one `USER_SNAPSHOT` record, zeros unless found."""

    status: UserStatus
    row: npt.NDArray[Any]  # shape (1,), dtype USER_SNAPSHOT


def no_lookup(status: UserStatus) -> UserLookup:
    """Make the answer for a visitor without a row."""
    return UserLookup(status, np.zeros(1, USER_SNAPSHOT))

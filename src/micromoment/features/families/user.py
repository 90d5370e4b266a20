"""The visitor from before the visit, as of the moment when the session took the snapshot up."""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.limits import LAST_SECOND
from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.spec import FeatureSpec
from micromoment.features.user_snapshot import UserStatus

STATE_FIELDS = [
    ("user_status", "u1"),
    ("user_snapshot_time", "i8"),
    ("user_taken_up", "i8"),
    ("user_prior_sessions", "f4"),
    ("user_sessions_30d", "f4"),
    ("user_days_since_visit", "f4"),
    ("user_recency_days", "f4"),
    ("user_frequency_365d", "f4"),
    ("user_monetary_mean", "f4"),
    ("user_active_days_28d", "f4"),
    ("user_active_days_trend", "f4"),
    ("user_tenure_days", "f4"),
    ("user_orders", "f4"),
    ("user_orders_undone", "f4"),
    ("user_orders_undone_whole", "f4"),
    ("user_discount_orders_365d", "f4"),
    ("user_order_gap_days", "f4"),  # the visitor's own median, 0 when not known
    ("user_events_28d", "f4"),
    ("user_item_views_28d", "f4"),
    ("user_cart_adds_28d", "f4"),
    ("user_checkouts_28d", "f4"),
    ("user_engagement_s_28d", "f4"),
    ("user_open_cart_days", "f4"),
    # The next ones feed the family `customer` alone.
    ("user_active_days_7d", "f4"),
    ("user_active_days", "f4"),
    ("user_page_views_28d", "f4"),
    ("user_events_last_day", "f4"),
    ("user_order_days", "f4"),
    ("user_order_age_days", "f4"),
    ("user_order_value", "f4"),
]
# Least 0, greatest this: kernels take them for places, ends of loops, codes and times.
STATE_CAPS = {
    "user_status": max(UserStatus),
    "user_snapshot_time": LAST_SECOND * 1_000_000,
    "user_taken_up": LAST_SECOND * 1_000_000,
}

_UNAVAILABLE = "store did not answer"
_NO_GAP = "no order, or no gap known"

_UNREAD = "What is known of the visitor could not be read"
FEATURES = (
    FeatureSpec("user_prior_sessions", "sessions", "sessions before this one", _UNAVAILABLE,
                group="earlier_visits", says=wording.count("First visit that is known",
                    "One earlier visit", "{} earlier visits", _UNREAD)),
    FeatureSpec("user_sessions_30d", "sessions", "the same within 30 days", _UNAVAILABLE,
                group="earlier_visits", says=wording.count("No visit in the 30 days before",
                    "One visit in the 30 days before", "{} visits in the 30 days before", _UNREAD)),
    FeatureSpec("user_days_since_visit", "days", "time since the last event before", "no history",
                group="earlier_visits", says=wording.elapsed("Comes back after {}",
                    "First visit that is known", unit_s=wording.DAY_S)),
    FeatureSpec("user_recency_days", "days", "time since the last order", "no order",
                group="past_orders", says=wording.elapsed("Came {} after the last order",
                    "No earlier order known", unit_s=wording.DAY_S)),
    FeatureSpec("user_frequency_365d", "orders", "orders within 365 days", _UNAVAILABLE,
                group="past_orders", says=wording.count("No order within a year",
                    "One order within a year", "{} orders within a year", _UNREAD)),
    FeatureSpec("user_monetary_mean", "currency", "mean value of these orders", "no order",
                group="past_orders", says=wording.money("Orders were worth {} on average",
                    "No order within a year")),
    FeatureSpec("user_active_days_28d", "days", "days with a visit, of 28", _UNAVAILABLE,
                group="earlier_visits", says=wording.count("No visit in the 4 weeks before",
                    "Visits on one day of the 4 weeks before",
                    "Visits on {} days of the 4 weeks before", _UNREAD)),
    FeatureSpec("user_active_days_trend", "days", "these minus the 28 before", _UNAVAILABLE,
                group="earlier_visits", says=wording.difference(
                    "Days with a visit: {} fewer than in the 4 weeks before",
                    "As many days with a visit as in the 4 weeks before",
                    "Days with a visit: {} more than in the 4 weeks before", _UNREAD)),
    FeatureSpec("user_tenure_days", "days", "time since the first event", "no history",
                group="earlier_visits", says=wording.elapsed("First seen {} ago",
                    "First visit that is known", unit_s=wording.DAY_S)),
    FeatureSpec("user_orders", "orders", "orders ever, undone ones left out", _UNAVAILABLE,
                group="past_orders", says=wording.count("No earlier order known",
                    "One earlier order", "{} earlier orders", _UNREAD)),
    FeatureSpec("user_gap_ratio", "ratio", "recency over own median gap, else the shop's", _NO_GAP,
                group="past_orders", says=wording.share(
                    "{} of the usual time between orders has passed", "No earlier order known")),
    FeatureSpec("user_refund_rate", "ratio", "orders undone at least in part", "no order placed",
                group="past_orders", says=wording.share(
                    "{} of earlier orders were returned or cancelled", "No earlier order known",
                    "No earlier order was returned or cancelled",
                    "All earlier orders were returned or cancelled")),
    FeatureSpec("user_discount_order_share", "ratio", "orders within 365 days at a discount",
                "no such order",
                group="past_orders", says=wording.share(
                    "{} of orders within a year were at a discount", "No order within a year",
                    "No order within a year was at a discount",
                    "All orders within a year were at a discount")),
    FeatureSpec("user_events_28d", "events", "events of the 28 days before", _UNAVAILABLE,
                group="earlier_visits", says=wording.count("No event in the 4 weeks before",
                    "One event in the 4 weeks before", "{} events in the 4 weeks before", _UNREAD)),
    FeatureSpec("user_item_views_28d", "events", "views of products in them", _UNAVAILABLE,
                group="earlier_visits", says=wording.count(
                    "No look at a product in the 4 weeks before",
                    "One look at a product in the 4 weeks before",
                    "{} looks at products in the 4 weeks before", _UNREAD)),
    FeatureSpec("user_cart_adds_28d", "events", "additions to the cart in them", _UNAVAILABLE,
                group="earlier_cart", says=wording.count(
                    "Nothing put into the cart in the 4 weeks before",
                    "One addition to the cart in the 4 weeks before",
                    "{} additions to the cart in the 4 weeks before", _UNREAD)),
    FeatureSpec("user_checkouts_28d", "events", "checkout events in them", _UNAVAILABLE,
                group="earlier_cart", says=wording.count("No checkout in the 4 weeks before",
                    "One checkout step in the 4 weeks before",
                    "{} checkout steps in the 4 weeks before", _UNREAD)),
    FeatureSpec("user_engagement_s_28d", "s", "engagement time in them", _UNAVAILABLE,
                group="earlier_visits", says=wording.elapsed(
                    "{} of active time in the 4 weeks before", _UNREAD,
                    "No active time in the 4 weeks before")),
    FeatureSpec("user_open_cart_days", "days", "time since the last addition to the cart",
                "none, or an order since",
                group="earlier_cart", says=wording.elapsed(
                    "Put something into the cart {} ago without an order since",
                    "No cart left from an earlier visit", unit_s=wording.DAY_S)),
)  # fmt: skip

US_PER_DAY = 86_400_000_000.0
_STATUS_UNAVAILABLE = int(UserStatus.UNAVAILABLE)
_STATUS_FOUND = int(UserStatus.FOUND)


@compiled
def take_up(state: Any, row: Any, status: int, now: int) -> None:
    """Fix the user's features at `now` from a `USER_SNAPSHOT` row (zeros unless found)."""
    count = np.nan if status == _STATUS_UNAVAILABLE else 0.0
    state["user_status"] = status
    state["user_taken_up"] = now
    state["user_snapshot_time"] = row["snapshot_time"]
    _take_up_visits(state, row, count)
    _take_up_orders(state, row, count)
    state["user_days_since_visit"] = np.nan
    state["user_tenure_days"] = np.nan
    state["user_recency_days"] = np.nan
    state["user_order_age_days"] = np.nan
    state["user_monetary_mean"] = np.nan
    state["user_open_cart_days"] = np.nan
    if status == _STATUS_FOUND:
        state["user_days_since_visit"] = max(now - row["last_seen"], 0) / US_PER_DAY
        state["user_tenure_days"] = max(now - row["first_seen"], 0) / US_PER_DAY
        if row["last_cart_add"] > row["last_order"]:
            state["user_open_cart_days"] = max(now - row["last_cart_add"], 0) / US_PER_DAY
        if row["last_order"] > 0:
            state["user_recency_days"] = max(now - row["last_order"], 0) / US_PER_DAY
            state["user_order_age_days"] = max(now - row["first_order"], 0) / US_PER_DAY
        if row["orders_365d"] > 0:
            mean_micros = row["order_value_365d"] / row["orders_365d"]
            state["user_monetary_mean"] = mean_micros / 1e6


@compiled
def _take_up_visits(state: Any, row: Any, count: float) -> None:
    state["user_prior_sessions"] = count + row["sessions"]
    state["user_sessions_30d"] = count + row["sessions_30d"]
    state["user_active_days_7d"] = count + row["active_days_7d"]
    state["user_active_days_28d"] = count + row["active_days_28d"]
    trend = row["active_days_28d"] - row["active_days_29_56d"]
    state["user_active_days_trend"] = count + trend
    state["user_active_days"] = count + row["active_days"]
    state["user_events_28d"] = count + row["events_28d"]
    state["user_page_views_28d"] = count + row["page_views_28d"]
    state["user_item_views_28d"] = count + row["item_views_28d"]
    state["user_cart_adds_28d"] = count + row["cart_adds_28d"]
    state["user_checkouts_28d"] = count + row["checkouts_28d"]
    state["user_engagement_s_28d"] = count + row["engagement_ms_28d"] / 1e3
    state["user_events_last_day"] = count + row["events_last_day"]


@compiled
def _take_up_orders(state: Any, row: Any, count: float) -> None:
    state["user_frequency_365d"] = count + row["orders_365d"]
    state["user_orders"] = count + row["orders"]
    state["user_orders_undone"] = count + row["orders_undone"]
    state["user_orders_undone_whole"] = count + row["orders_undone_whole"]
    state["user_discount_orders_365d"] = count + row["discount_orders_365d"]
    state["user_order_gap_days"] = count + row["order_gap_us"] / US_PER_DAY
    state["user_order_days"] = count + row["order_days"]
    state["user_order_value"] = count + row["order_value"] / 1e6


@compiled
def gap_ratio(state: Any, recency_days: float, shop_gap_days: float) -> float:
    """Give a recency over the visitor's own median gap, else the shop's; NaN without either."""
    own = np.float64(state["user_order_gap_days"])
    gap = own if own > 0 else shop_gap_days  # NaN is not
    return recency_days / gap if gap > 0 else np.nan


@compiled
def share(part: float, whole: float) -> float:
    """Give part over whole, NaN where the whole is 0 or NaN."""
    return part / whole if whole > 0 else np.nan


@compiled
def describe(state: Any, shop_gap_days: float, out: Any) -> None:
    """Write the family's features; `shop_gap_days` is the shop's median order gap, or 0."""
    out["user_prior_sessions"] = state["user_prior_sessions"]
    out["user_sessions_30d"] = state["user_sessions_30d"]
    out["user_days_since_visit"] = state["user_days_since_visit"]
    out["user_recency_days"] = state["user_recency_days"]
    out["user_frequency_365d"] = state["user_frequency_365d"]
    out["user_monetary_mean"] = state["user_monetary_mean"]
    out["user_active_days_28d"] = state["user_active_days_28d"]
    out["user_active_days_trend"] = state["user_active_days_trend"]
    out["user_tenure_days"] = state["user_tenure_days"]
    out["user_orders"] = state["user_orders"]
    recency = np.float64(state["user_recency_days"])
    out["user_gap_ratio"] = gap_ratio(state, recency, shop_gap_days)
    placed = np.float64(state["user_orders"]) + np.float64(state["user_orders_undone_whole"])
    out["user_refund_rate"] = share(np.float64(state["user_orders_undone"]), placed)
    discounted = np.float64(state["user_discount_orders_365d"])
    of = np.float64(state["user_frequency_365d"])
    out["user_discount_order_share"] = share(discounted, of)
    out["user_events_28d"] = state["user_events_28d"]
    out["user_item_views_28d"] = state["user_item_views_28d"]
    out["user_cart_adds_28d"] = state["user_cart_adds_28d"]
    out["user_checkouts_28d"] = state["user_checkouts_28d"]
    out["user_engagement_s_28d"] = state["user_engagement_s_28d"]
    out["user_open_cart_days"] = state["user_open_cart_days"]

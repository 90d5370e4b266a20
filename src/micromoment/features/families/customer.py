"""The visitor as of now, this visit included; without events, a customer at a given time.

What the last snapshot said is taken on to now and the visit is added to it. The visit counts as one
active day and one session more: it lies on a shop-day that the snapshot, cut at midnight, does not
cover. An order counts from its purchase event; whether it is undone, and what else happened since
the snapshot, the next one will tell. Windows of days end at the snapshot's cut, plus the visit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.record import MISSING_MICROS
from micromoment.events.vocabulary import EventType
from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.families.user import US_PER_DAY, gap_ratio, share
from micromoment.features.spec import FeatureSpec
from micromoment.features.user_snapshot import UserStatus

STATE_FIELDS = [
    ("visit_order_value", "f4"),  # currency units, where known
    ("visit_first_order", "i8"),  # feature times
    ("visit_last_order", "i8"),
    ("visit_order", "u8"),  # key of the last order that has an id
    ("visit_orders", "u1"),  # up to 255, likewise the next
    ("visit_discount_orders", "u1"),
    ("visit_nameless_order", "u1"),
    ("visit_coupon", "u1"),
]

_UNAVAILABLE = "store did not answer"
_NO_HISTORY = "no history known"

_UNREAD = "What is known of the customer could not be read"
FEATURES = (
    FeatureSpec("customer_idle_days", "days", "time since the last event", "no event known",
                group="visits", says=wording.elapsed("Last seen {} ago", "Never seen before",
                    "In the shop right now", wording.DAY_S)),
    FeatureSpec("customer_tenure_days", "days", "time since the first event", _NO_HISTORY,
                group="tenure", says=wording.elapsed("First seen {} ago", "Never seen before",
                    "Seen for the first time", wording.DAY_S)),
    FeatureSpec("customer_active_days_7d", "days", "days with a visit, of 7", _UNAVAILABLE,
                group="visits", says=wording.count("No visit in a week",
                    "Visits on one day of the last 7", "Visits on {} days of the last 7", _UNREAD)),
    FeatureSpec("customer_active_days_28d", "days", "days with a visit, of 28", _UNAVAILABLE,
                group="visits", says=wording.count("No visit in 4 weeks",
                    "Visits on one day of the last 28", "Visits on {} days of the last 28",
                    _UNREAD)),
    FeatureSpec("customer_active_days_trend", "days", "these minus the 28 before", _UNAVAILABLE,
                group="visits", says=wording.difference(
                    "Days with a visit: {} fewer than in the 4 weeks before",
                    "As many days with a visit as in the 4 weeks before",
                    "Days with a visit: {} more than in the 4 weeks before", _UNREAD)),
    FeatureSpec("customer_active_days", "days", "days with a visit, ever", _UNAVAILABLE,
                group="visits", says=wording.count("No visit known", "Visits on one day in all",
                    "Visits on {} days in all", _UNREAD)),
    FeatureSpec("customer_sessions", "sessions", "sessions ever", _UNAVAILABLE,
                group="visits", says=wording.count("No visit known", "One visit in all",
                    "{} visits in all", _UNREAD)),
    FeatureSpec("customer_sessions_30d", "sessions", "sessions within 30 days", _UNAVAILABLE,
                group="visits", says=wording.count("No visit in 30 days", "One visit in 30 days",
                    "{} visits in 30 days", _UNREAD)),
    FeatureSpec("customer_events_28d", "events", "events within 28 days", _UNAVAILABLE,
                group="activity", says=wording.count("No event in 4 weeks", "One event in 4 weeks",
                    "{} events in 4 weeks", _UNREAD)),
    FeatureSpec("customer_page_views_28d", "events", "pages shown in them", _UNAVAILABLE,
                group="activity", says=wording.count("No page seen in 4 weeks",
                    "One page seen in 4 weeks", "{} pages seen in 4 weeks", _UNREAD)),
    FeatureSpec("customer_item_views_28d", "events", "views of products in them", _UNAVAILABLE,
                group="activity", says=wording.count("No product looked at in 4 weeks",
                    "One look at a product in 4 weeks", "{} looks at products in 4 weeks",
                    _UNREAD)),
    FeatureSpec("customer_cart_adds_28d", "events", "additions to the cart in them", _UNAVAILABLE,
                group="activity", says=wording.count("Nothing put into the cart in 4 weeks",
                    "One addition to the cart in 4 weeks", "{} additions to the cart in 4 weeks",
                    _UNREAD)),
    FeatureSpec("customer_checkouts_28d", "events", "checkout events in them", _UNAVAILABLE,
                group="activity", says=wording.count("No checkout in 4 weeks",
                    "One checkout step in 4 weeks", "{} checkout steps in 4 weeks", _UNREAD)),
    FeatureSpec("customer_engagement_s_28d", "s", "engagement time in them", _UNAVAILABLE,
                group="activity", says=wording.elapsed("{} of active time in 4 weeks", _UNREAD,
                    "No active time in 4 weeks")),
    FeatureSpec("customer_events_last_day", "events",
                "events of this visit alone, else of the last day with one", "neither is known",
                group="activity", says=wording.count("No event on the last day here",
                    "One event on the last day here", "{} events on the last day here",
                    "Last day here not known")),
    FeatureSpec("customer_orders", "orders", "orders ever, undone ones left out", _UNAVAILABLE,
                group="order_count", says=wording.count("No order yet", "One order in all",
                    "{} orders in all", _UNREAD)),
    FeatureSpec("customer_order_days", "days", "days with such an order, ever", _UNAVAILABLE,
                group="order_count", says=wording.count("No order yet", "Orders on one day",
                    "Orders on {} days", _UNREAD)),
    FeatureSpec("customer_orders_365d", "orders", "orders within 365 days", _UNAVAILABLE,
                group="order_count", says=wording.count("No order within a year",
                    "One order within a year", "{} orders within a year", _UNREAD)),
    FeatureSpec("customer_recency_days", "days", "time since the last order", "no order known",
                group="order_recency", says=wording.elapsed("Last order {} ago", "No order known",
                    "Has just ordered", wording.DAY_S)),
    FeatureSpec("customer_order_age_days", "days", "time since the first order", "no order known",
                group="tenure", says=wording.elapsed("First order {} ago", "No order known",
                    "First order just now", wording.DAY_S)),
    FeatureSpec("customer_monetary_mean", "currency", "mean value of all orders", "no order known",
                group="order_value", says=wording.money("Orders are worth {} on average",
                    "No order known")),
    FeatureSpec("customer_order_value", "currency", "value of all orders", _UNAVAILABLE,
                group="order_value", says=wording.money("All orders are worth {}", _UNREAD)),
    FeatureSpec("customer_gap_ratio", "ratio", "recency over own median gap, else the shop's",
                "no order, or no gap known",
                group="order_recency", says=wording.share(
                    "{} of the usual time between orders has passed since the last",
                    "Usual time between orders not known", "Has just ordered")),
    FeatureSpec("customer_refund_rate", "ratio", "orders undone at least in part",
                "no order placed",
                group="refunds", says=wording.share("{} of orders were returned or cancelled",
                    "No order known", "No order was returned or cancelled",
                    "All orders were returned or cancelled")),
    FeatureSpec("customer_discount_order_share", "ratio", "orders within 365 days at a discount",
                "no such order",
                group="discounts", says=wording.share(
                    "{} of orders within a year were at a discount", "No order within a year",
                    "No order within a year was at a discount",
                    "All orders within a year were at a discount")),
    FeatureSpec("customer_year_day", "days", "time since the year began, in UTC, all years alike",
                group="season", says=wording.count("The year has just begun",
                    "One day into the year", "{} days into the year")),
)  # fmt: skip

_COUPON_APPLY = int(EventType.COUPON_APPLY)
_PURCHASE = int(EventType.PURCHASE)
_STATUS_UNAVAILABLE = int(UserStatus.UNAVAILABLE)
_COUNTER_CAP = 255
# Mean year of the Gregorian calendar, so that no calendar is needed: off by a day at most.
DAYS_PER_YEAR = 365.2425


@compiled
def observe(state: Any, event: Any, items: Any, now: int) -> None:
    """Fold one event with its items at feature time `now`."""
    kind = event["type"]
    if kind == _COUPON_APPLY:
        state["visit_coupon"] = 1
    elif kind == _PURCHASE and not _is_repeat(state, event):
        _order(state, event, items, now)


@compiled
def _is_repeat(state: Any, event: Any) -> bool:
    # Purchases without an id are one order of the visit.
    if event["order"] == 0:
        return bool(state["visit_nameless_order"] == 1)
    return bool(event["order"] == state["visit_order"])


@compiled
def _order(state: Any, event: Any, items: Any, now: int) -> None:
    if event["order"] == 0:
        state["visit_nameless_order"] = 1
    else:
        state["visit_order"] = event["order"]
    if state["visit_orders"] == 0:
        state["visit_first_order"] = now
    state["visit_last_order"] = now
    if event["value"] != MISSING_MICROS:
        state["visit_order_value"] += event["value"] / 1e6
    if state["visit_orders"] < _COUNTER_CAP:
        state["visit_orders"] += 1
        if state["visit_coupon"] == 1 or _any_on_sale(items):
            state["visit_discount_orders"] += 1


@compiled
def _any_on_sale(items: Any) -> bool:
    for index in range(len(items)):
        if items[index]["on_sale"] == 1:
            return True
    return False


@compiled
def describe(state: Any, now: int, shop_gap_days: float, out: Any) -> None:
    """Write the family's features as of `now`; `shop_gap_days` is the shop's, or 0."""
    # A visit of nothing but order confirmation pages is none.
    visits = 1.0 if state["n_events"] > 0 else 0.0
    _describe_times(state, now, out)
    _describe_visits(state, visits, out)
    _describe_orders(state, now, shop_gap_days, out)


@compiled
def _describe_times(state: Any, now: int, out: Any) -> None:
    since_taken_up = (now - state["user_taken_up"]) / US_PER_DAY
    tenure = np.float64(state["user_tenure_days"]) + since_taken_up
    idle = np.float64(state["user_days_since_visit"]) + since_taken_up
    if state["n_events"] > 0:
        idle = (now - state["folded_time"]) / US_PER_DAY
        if np.isnan(tenure) and state["user_status"] != _STATUS_UNAVAILABLE:
            tenure = (now - state["first_time"]) / US_PER_DAY
    out["customer_idle_days"] = idle
    out["customer_year_day"] = np.floor((now / US_PER_DAY) % DAYS_PER_YEAR)
    out["customer_tenure_days"] = tenure


@compiled
def _describe_visits(state: Any, visits: float, out: Any) -> None:
    out["customer_active_days_7d"] = np.float64(state["user_active_days_7d"]) + visits
    out["customer_active_days_28d"] = np.float64(state["user_active_days_28d"]) + visits
    out["customer_active_days_trend"] = np.float64(state["user_active_days_trend"]) + visits
    out["customer_active_days"] = np.float64(state["user_active_days"]) + visits
    out["customer_sessions"] = np.float64(state["user_prior_sessions"]) + visits
    out["customer_sessions_30d"] = np.float64(state["user_sessions_30d"]) + visits
    out["customer_events_28d"] = np.float64(state["user_events_28d"]) + state["n_events"]
    out["customer_page_views_28d"] = (
        np.float64(state["user_page_views_28d"]) + (state["n_page_views"])
    )
    out["customer_item_views_28d"] = (
        np.float64(state["user_item_views_28d"]) + (state["n_item_views"])
    )
    out["customer_cart_adds_28d"] = np.float64(state["user_cart_adds_28d"]) + state["n_cart_adds"]
    out["customer_checkouts_28d"] = (
        np.float64(state["user_checkouts_28d"]) + (state["n_checkout_steps"])
    )
    out["customer_engagement_s_28d"] = (
        np.float64(state["user_engagement_s_28d"]) + (state["engagement_s"])
    )
    of_day = state["n_events"] if visits > 0 else state["user_events_last_day"]
    out["customer_events_last_day"] = of_day


@compiled
def _describe_orders(state: Any, now: int, shop_gap_days: float, out: Any) -> None:
    since_taken_up = (now - state["user_taken_up"]) / US_PER_DAY
    new = np.float64(state["visit_orders"])
    recency = np.float64(state["user_recency_days"]) + since_taken_up
    age = np.float64(state["user_order_age_days"]) + since_taken_up
    if new > 0:
        recency = (now - state["visit_last_order"]) / US_PER_DAY
        if np.isnan(age) and state["user_status"] != _STATUS_UNAVAILABLE:
            age = (now - state["visit_first_order"]) / US_PER_DAY
    orders = np.float64(state["user_orders"]) + new
    value = np.float64(state["user_order_value"]) + state["visit_order_value"]
    of_year = np.float64(state["user_frequency_365d"]) + new
    placed = orders + np.float64(state["user_orders_undone_whole"])
    discounted = np.float64(state["user_discount_orders_365d"]) + state["visit_discount_orders"]
    out["customer_orders"] = orders
    out["customer_order_days"] = np.float64(state["user_order_days"]) + (1.0 if new > 0 else 0.0)
    out["customer_orders_365d"] = of_year
    out["customer_recency_days"] = recency
    out["customer_order_age_days"] = age
    out["customer_monetary_mean"] = share(value, orders)
    out["customer_order_value"] = value
    out["customer_gap_ratio"] = gap_ratio(state, recency, shop_gap_days)
    out["customer_refund_rate"] = share(np.float64(state["user_orders_undone"]), placed)
    out["customer_discount_order_share"] = share(discounted, of_year)

"""The visitor from before the visit, by hand."""

from math import isnan

import numpy as np
import pytest

from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from tests.support.events import DAY, MINUTE, SECOND, START_US, an_event
from tests.support.folding import NEUTRAL, a_lookup, features_of, fold, vector

KNOWN = a_lookup(
    snapshot_time=START_US - DAY // 2,
    first_seen=START_US - 100 * DAY,
    last_seen=START_US - 3 * DAY,
    last_order=START_US - 40 * DAY,
    sessions=12,
    sessions_30d=4,
    orders_365d=4,
    order_value_365d=150 * SECOND,
    active_days_28d=3,
    active_days_29_56d=5,
    events_28d=70,
    item_views_28d=20,
    cart_adds_28d=6,
    checkouts_28d=3,
    engagement_ms_28d=90_500,
    first_order=START_US - 90 * DAY,
    orders=6,
    order_gap_us=16 * DAY,
    orders_undone=3,
    orders_undone_whole=2,
    discount_orders_365d=1,
    last_cart_add=START_US - 5 * DAY,
)


def test_a_customer_with_history() -> None:
    """Counts are the snapshot's; ages run from its times to the moment when it was taken up."""
    features = features_of([an_event()], KNOWN)
    assert features["user_prior_sessions"] == 12
    assert features["user_sessions_30d"] == 4
    assert features["user_days_since_visit"] == 3
    assert features["user_recency_days"] == 40
    assert features["user_frequency_365d"] == 4
    assert features["user_monetary_mean"] == 37.5
    assert features["user_active_days_28d"] == 3
    assert features["user_active_days_trend"] == -2
    assert features["user_tenure_days"] == 100
    assert features["user_orders"] == 6
    assert features["user_gap_ratio"] == 2.5
    assert features["user_refund_rate"] == 3 / 8
    assert features["user_discount_order_share"] == 1 / 4
    assert features["user_events_28d"] == 70
    assert features["user_item_views_28d"] == 20
    assert features["user_cart_adds_28d"] == 6
    assert features["user_checkouts_28d"] == 3
    assert features["user_engagement_s_28d"] == 90.5
    assert features["user_open_cart_days"] == 5


def test_an_order_closes_the_cart() -> None:
    """What was put into the cart before the last order, or at its time, is no open cart."""
    for days in (41, 40):
        bought = a_lookup(last_order=START_US - 40 * DAY, last_cart_add=START_US - days * DAY)
        assert isnan(features_of([an_event()], bought)["user_open_cart_days"])
    never = a_lookup(first_seen=START_US - DAY, last_seen=START_US)
    assert isnan(features_of([an_event()], never)["user_open_cart_days"])
    later = a_lookup(last_order=START_US - 40 * DAY, last_cart_add=START_US - 39 * DAY)
    assert features_of([an_event()], later)["user_open_cart_days"] == 39


def test_without_an_own_gap_the_shop_s_is_the_measure() -> None:
    """Recency is measured by the visitor's own median gap, else by the shop's, else by nothing."""
    shop = NEUTRAL._replace(order_gap_days=np.array([20.0]))
    row = KNOWN.row.copy()
    row["order_gap_us"] = 0
    newcomer = UserLookup(UserStatus.FOUND, row)
    assert features_of([an_event()], KNOWN, shop)["user_gap_ratio"] == 2.5
    assert features_of([an_event()], newcomer, shop)["user_gap_ratio"] == 2
    assert isnan(features_of([an_event()], newcomer)["user_gap_ratio"])
    without_order = a_lookup(first_seen=START_US - DAY, last_seen=START_US)
    assert isnan(features_of([an_event()], without_order, shop)["user_gap_ratio"])


def test_who_took_everything_back_has_a_refund_rate_of_one() -> None:
    """Orders that no longer count were placed all the same."""
    lookup = a_lookup(first_seen=START_US - DAY, orders_undone=2, orders_undone_whole=2)
    features = features_of([an_event()], lookup)
    assert features["user_orders"] == 0
    assert features["user_refund_rate"] == 1
    assert isnan(features["user_discount_order_share"])


def test_ages_are_those_of_the_visit_s_start() -> None:
    """Hours into the visit the user's features are still those of its start."""
    visit = [an_event(event_id=f"e{n}", event_time=START_US + n * 20 * MINUTE) for n in range(12)]
    assert features_of(visit, KNOWN)["user_recency_days"] == 40
    assert features_of(visit, KNOWN, now=START_US + DAY)["user_recency_days"] == 40


def test_a_new_visitor_has_counts_of_zero() -> None:
    """Somebody without a snapshot has counts of 0, and no ages or values."""
    features = features_of([an_event()], no_lookup(UserStatus.UNKNOWN))
    for name in ("user_prior_sessions", "user_sessions_30d", "user_frequency_365d",
                 "user_active_days_28d", "user_active_days_trend", "user_orders",
                 "user_events_28d", "user_item_views_28d", "user_cart_adds_28d",
                 "user_checkouts_28d", "user_engagement_s_28d"):  # fmt: skip
        assert features[name] == 0, name
    for name in ("user_days_since_visit", "user_recency_days", "user_monetary_mean",
                 "user_tenure_days", "user_gap_ratio", "user_refund_rate",
                 "user_discount_order_share"):  # fmt: skip
        assert isnan(features[name]), name


def test_when_the_store_is_silent_everything_is_missing() -> None:
    """An unavailable store is not a visitor without history."""
    features = features_of([an_event()], no_lookup(UserStatus.UNAVAILABLE))
    assert all(isnan(value) for name, value in features.items() if name.startswith("user_"))


def test_a_customer_without_orders() -> None:
    """History without an order has no recency and no mean value."""
    features = features_of([an_event()], a_lookup(first_seen=START_US - DAY, last_seen=START_US))
    assert features["user_tenure_days"] == 1
    assert isnan(features["user_recency_days"])
    assert isnan(features["user_monetary_mean"])


def test_a_snapshot_from_the_future_makes_no_negative_age() -> None:
    """A visitor's clock behind the snapshot's times gives ages of 0."""
    features = features_of([an_event()], a_lookup(first_seen=START_US + 1, last_seen=START_US + 9))
    assert features["user_tenure_days"] == features["user_days_since_visit"] == 0


def test_identify_takes_user_features_up_again() -> None:
    """When the visitor becomes known, the customer's history replaces the browser's."""
    states = fold([an_event()], lookup=no_lookup(UserStatus.UNKNOWN))
    later = an_event(event_id="e2", event_time=START_US + MINUTE, user_id="u1")
    fold([later], states, KNOWN)
    record = vector(states)[0]
    assert record["user_prior_sessions"] == 12
    assert record["user_tenure_days"] == np.float32((100 * DAY + MINUTE) / DAY)
    # Neither an event without the user's id nor another one with it takes anything up again.
    for number, user_id in ((3, ""), (4, "u1")):
        event = an_event(event_id=f"e{number}", event_time=START_US + MINUTE, user_id=user_id)
        fold([event], states, no_lookup(UserStatus.UNAVAILABLE))
        assert vector(states)[0]["user_prior_sessions"] == 12


def test_value_is_in_currency_units() -> None:
    """The mean is that of the orders' known total over the orders, not in micros."""
    lookup = a_lookup(first_seen=START_US - DAY, orders_365d=3, order_value_365d=1_000_000)
    assert features_of([an_event()], lookup)["user_monetary_mean"] == pytest.approx(1 / 3)

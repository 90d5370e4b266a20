"""The customer as of now, by hand: at a cut date, in a visit, and with an order in it."""

from datetime import UTC, datetime, timedelta
from math import isnan

import numpy as np
import pytest

from micromoment.events.vocabulary import EventType, PageType
from micromoment.features.catalogue import CHURN_FEATURES, FEATURE_FAMILIES
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from tests.support.events import DAY, MINUTE, SECOND, START_US, AnEvent, AnItem, an_event
from tests.support.folding import (
    NEUTRAL,
    a_lookup,
    features_of,
    fold,
    taken_up,
    vector,
)

# The day of the year is nobody's.
NAMES = [
    spec.name for spec in FEATURE_FAMILIES["customer"].FEATURES if spec.name != "customer_year_day"
]
# The names of those features that only this visit may fill when the store did not answer.
OF_THE_VISIT = {"customer_idle_days", "customer_events_last_day"}

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
    active_days_7d=1,
    active_days=10,
    events_28d=70,
    page_views_28d=30,
    item_views_28d=20,
    cart_adds_28d=6,
    checkouts_28d=3,
    engagement_ms_28d=90_500,
    events_last_day=9,
    first_order=START_US - 90 * DAY,
    orders=6,
    order_days=5,
    order_value=240 * SECOND,
    order_gap_us=16 * DAY,
    orders_undone=3,
    orders_undone_whole=2,
    discount_orders_365d=1,
)
AT_THE_CUT = {
    "customer_idle_days": 3,
    "customer_tenure_days": 100,
    "customer_active_days_7d": 1,
    "customer_active_days_28d": 3,
    "customer_active_days_trend": -2,
    "customer_active_days": 10,
    "customer_sessions": 12,
    "customer_sessions_30d": 4,
    "customer_events_28d": 70,
    "customer_page_views_28d": 30,
    "customer_item_views_28d": 20,
    "customer_cart_adds_28d": 6,
    "customer_checkouts_28d": 3,
    "customer_engagement_s_28d": 90.5,
    "customer_events_last_day": 9,
    "customer_orders": 6,
    "customer_order_days": 5,
    "customer_orders_365d": 4,
    "customer_recency_days": 40,
    "customer_order_age_days": 90,
    "customer_monetary_mean": 40,
    "customer_order_value": 240,
    "customer_gap_ratio": 2.5,
    "customer_refund_rate": 3 / 8,
    "customer_discount_order_share": 1 / 4,
}
A_VISIT = (
    an_event(),
    an_event(event_id="e2", event_time=START_US + MINUTE, type=EventType.ITEM_VIEW),
    an_event(event_id="e3", event_time=START_US + 2 * MINUTE, type=EventType.CART_ADD),
    an_event(
        event_id="e4", event_time=START_US + 3 * MINUTE, type=EventType.CHECKOUT_START,
        engagement_ms=9_500,
    ),
)  # fmt: skip


def customer(
    events: tuple[AnEvent, ...], lookup: UserLookup = KNOWN, now: int | None = None
) -> dict[str, float]:
    """Give the family's features after a visit's events, or at the start of it."""
    if events:
        features = features_of(events, lookup, now=now)
        return {name: features[name] for name in NAMES}
    record = vector(taken_up(lookup, START_US), now=START_US if now is None else now)[0]
    return {name: float(record[name]) for name in NAMES}


def a_purchase(minute: int = 10, **fields: object) -> AnEvent:
    """Make a purchase so many minutes after the visit's start."""
    given = {"event_id": f"p{minute}", "event_time": START_US + minute * MINUTE, **fields}
    return an_event(type=EventType.PURCHASE, **given)  # type: ignore[arg-type] # a test's own


def changed(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Give the features that two vectors differ in, as the second has them."""
    return {
        name: value
        for name, value in after.items()
        if not (value == before[name] or (isnan(value) and isnan(before[name])))
    }


def test_a_customer_at_a_cut_date() -> None:
    """Without a visit the features are the snapshot's, ages run to the date."""
    assert customer(()) == AT_THE_CUT


def test_ages_run_on_without_a_visit() -> None:
    """Described later than it was taken up, a customer is that much older and longer away."""
    assert changed(AT_THE_CUT, customer((), now=START_US + 8 * DAY)) == {
        "customer_idle_days": 11,
        "customer_tenure_days": 108,
        "customer_recency_days": 48,
        "customer_order_age_days": 98,
        "customer_gap_ratio": 3,
    }


def test_at_a_cut_date_the_session_is_one_without_events() -> None:
    """The visit's own numbers are the same at every cut, so that churn learns from none."""
    record = vector(taken_up(KNOWN))[0]
    of_session = ("n_events", "n_page_views", "n_item_views", "device", "referrer_medium")
    assert all(float(record[name]) == 0 or isnan(float(record[name])) for name in of_session)
    assert set(CHURN_FEATURES) == {*NAMES, "customer_year_day"}
    assert vector(taken_up(KNOWN), now=START_US)[0]["duration_s"] == 0


def test_the_day_of_the_year_is_of_a_mean_year() -> None:
    """Whole days since it began, the same day within a day in any year."""
    first = datetime(1970, 1, 1, tzinfo=UTC)
    for year in (1999, 2024, 2025, 2099):
        for month, day in ((1, 2), (7, 1), (12, 30)):
            now = datetime(year, month, day, 13, tzinfo=UTC)
            record = vector(taken_up(KNOWN), now=(now - first) // timedelta(microseconds=1))[0]
            found = float(record["customer_year_day"])
            assert found == int(found)
            assert abs(found - (now - datetime(year, 1, 1, tzinfo=UTC)).days) <= 1


def test_a_visit_adds_to_the_customer() -> None:
    """It is one day and one session more, and its events come on top of those of 28 days."""
    assert changed(AT_THE_CUT, customer(A_VISIT, now=START_US + 3 * MINUTE)) == {
        "customer_idle_days": 0,
        "customer_tenure_days": np.float32(100 + 3 * MINUTE / DAY),
        "customer_active_days_7d": 2,
        "customer_active_days_28d": 4,
        "customer_active_days_trend": -1,
        "customer_active_days": 11,
        "customer_sessions": 13,
        "customer_sessions_30d": 5,
        "customer_events_28d": 74,
        "customer_page_views_28d": 31,
        "customer_item_views_28d": 21,
        "customer_cart_adds_28d": 7,
        "customer_checkouts_28d": 4,
        "customer_engagement_s_28d": 100,
        "customer_events_last_day": 4,
        "customer_recency_days": np.float32(40 + 3 * MINUTE / DAY),
        "customer_order_age_days": np.float32(90 + 3 * MINUTE / DAY),
        "customer_gap_ratio": np.float32((40 + 3 * MINUTE / DAY) / 16),
    }


def test_an_order_counts_from_its_purchase_event() -> None:
    """Recency starts anew, the order and its value come on top, undone ones stay undone."""
    order = a_purchase(order_id="o1", value_micros=40 * SECOND)
    before = customer((*A_VISIT, an_event(event_id="e9", event_time=START_US + 10 * MINUTE)))
    assert changed(before, customer((*A_VISIT, order))) == {
        "customer_page_views_28d": 31,  # a purchase in the place of a page view
        "customer_orders": 7,
        "customer_order_days": 6,
        "customer_orders_365d": 5,
        "customer_recency_days": 0,
        "customer_order_value": 280,
        "customer_gap_ratio": 0,
        "customer_refund_rate": np.float32(3 / 9),
        "customer_discount_order_share": np.float32(1 / 5),
    }
    later = customer((*A_VISIT, order), now=START_US + 10 * MINUTE + DAY // 2)
    assert later["customer_recency_days"] == later["customer_idle_days"] == 0.5
    assert later["customer_gap_ratio"] == 0.5 / 16


def test_orders_are_told_apart() -> None:
    """The same id again is no order more; purchases without an id are one order of the visit."""
    one = a_purchase(1, order_id="o1", value_micros=10 * SECOND)
    again = a_purchase(2, order_id="o1", value_micros=10 * SECOND)
    other = a_purchase(3, order_id="o2", value_micros=5 * SECOND)
    nameless = (a_purchase(4, value_micros=SECOND), a_purchase(5, value_micros=SECOND))
    features = customer((one, again, other, *nameless), no_lookup(UserStatus.UNKNOWN))
    assert features["customer_orders"] == features["customer_orders_365d"] == 3
    assert features["customer_order_days"] == 1
    assert features["customer_order_value"] == 16
    assert features["customer_order_age_days"] == np.float32(4 * MINUTE / DAY)
    assert features["customer_recency_days"] == np.float32(MINUTE / DAY)


@pytest.mark.parametrize(
    ("visit", "discounted"),
    [
        ((a_purchase(1, items=(AnItem(on_sale=False), AnItem())),), 0),
        ((a_purchase(1, items=(AnItem(), AnItem(on_sale=True))),), 1),
        ((an_event(type=EventType.COUPON_APPLY), a_purchase(1)), 1),
        ((an_event(type=EventType.COUPON_ENTER), a_purchase(1)), 0),
        ((a_purchase(1), an_event(event_time=START_US + 2 * MINUTE,
                                  type=EventType.COUPON_APPLY)), 0),
    ],
)  # fmt: skip
def test_a_discount_is_a_product_on_sale_or_a_coupon(
    visit: tuple[AnEvent, ...], discounted: int
) -> None:
    """An order is at a discount by a product on sale, or by a coupon applied before it."""
    features = customer(visit, no_lookup(UserStatus.UNKNOWN))
    assert features["customer_orders"] == 1
    assert features["customer_discount_order_share"] == discounted


def test_an_order_of_unknown_value_is_an_order() -> None:
    """It counts, and adds nothing to the value."""
    features = customer((a_purchase(order_id="o1"),))
    assert features["customer_orders"] == 7
    assert features["customer_order_value"] == 240


def test_confirmation_pages_are_no_visit() -> None:
    """A visit of nothing but them leaves the customer as it was, and they change no order."""
    page = an_event(event_id="c1", page_type=PageType.CONFIRMATION, engagement_ms=5_000)
    assert customer((page,)) == AT_THE_CUT
    assert customer((*A_VISIT, a_purchase(), an_event(
        event_id="c2", event_time=START_US + 10 * MINUTE, page_type=PageType.CONFIRMATION,
    ))) == customer((*A_VISIT, a_purchase()))  # fmt: skip


def test_who_is_new_has_this_visit_alone() -> None:
    """Without history the visit is all there is; before it there is nothing."""
    nobody = no_lookup(UserStatus.UNKNOWN)
    features = customer(A_VISIT, nobody)
    assert features["customer_active_days"] == features["customer_sessions"] == 1
    assert features["customer_active_days_trend"] == 1
    assert features["customer_events_28d"] == features["customer_events_last_day"] == 4
    assert features["customer_tenure_days"] == np.float32(3 * MINUTE / DAY)
    assert features["customer_idle_days"] == features["customer_orders"] == 0
    assert isnan(features["customer_recency_days"])
    assert isnan(features["customer_order_age_days"])
    before = customer((), nobody)
    missing = {name for name, value in before.items() if isnan(value)}
    assert missing == {
        "customer_idle_days", "customer_tenure_days", "customer_recency_days",
        "customer_order_age_days", "customer_monetary_mean", "customer_gap_ratio",
        "customer_refund_rate", "customer_discount_order_share",
    }  # fmt: skip
    assert not any(before[name] for name in before.keys() - missing)


def test_when_the_store_is_silent_sums_are_missing() -> None:
    """What happened before is not known, so neither is what it makes with the visit's."""
    silent = no_lookup(UserStatus.UNAVAILABLE)
    features = customer(A_VISIT, silent)
    assert {name for name, value in features.items() if not isnan(value)} == OF_THE_VISIT
    assert all(isnan(value) for value in customer((), silent).values())
    ordered = customer((*A_VISIT, a_purchase(order_id="o1")), silent)
    assert ordered["customer_recency_days"] == 0
    assert isnan(ordered["customer_orders"])
    assert isnan(ordered["customer_order_age_days"])


def test_identify_keeps_the_visit_s_orders() -> None:
    """When the visitor becomes known after an order, that order comes on top of the history."""
    states = fold([a_purchase(order_id="o1", value_micros=40 * SECOND)],
                  lookup=no_lookup(UserStatus.UNKNOWN))  # fmt: skip
    known = an_event(event_id="e2", event_time=START_US + 11 * MINUTE, user_id="u1")
    record = vector(fold([known], states, KNOWN), NEUTRAL)[0]
    assert record["customer_orders"] == 7
    assert record["customer_order_value"] == 280
    assert record["customer_recency_days"] == np.float32(MINUTE / DAY)


def test_a_new_visit_starts_without_orders() -> None:
    """After a gap the orders of the visit before are the next snapshot's to tell."""
    states = fold([a_purchase(order_id="o1")], lookup=KNOWN)
    later = an_event(event_id="e2", event_time=START_US + 3 * 60 * MINUTE)
    assert vector(fold([later], states, KNOWN))[0]["customer_orders"] == 6


def test_more_orders_than_a_byte_counts() -> None:
    """Orders of one visit are counted up to 255, their value and time further."""
    visit = tuple(a_purchase(n, order_id=f"o{n}", value_micros=SECOND) for n in range(260))
    features = customer(visit)
    assert features["customer_orders"] == 6 + 255
    assert features["customer_order_value"] == 240 + 260
    assert features["customer_recency_days"] == 0

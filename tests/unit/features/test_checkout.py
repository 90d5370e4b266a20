"""The way to the order, by hand."""

from math import isnan

import pytest

from micromoment.events.vocabulary import EventType, JourneyStage, PageType
from tests.support.events import SECOND, START_US, AnEvent, an_event
from tests.support.folding import features_of


def steps(*kinds: EventType) -> list[AnEvent]:
    """Let these happen, ten seconds apart."""
    return [
        an_event(event_id=f"e{n}", type=kind, event_time=START_US + n * 10 * SECOND)
        for n, kind in enumerate(kinds)
    ]


def test_stages_forth_and_back() -> None:
    """Search, look, search, checkout: discover, decide, one step back, do."""
    visit = steps(EventType.SEARCH, EventType.ITEM_VIEW, EventType.SEARCH)
    features = features_of(visit)
    assert features["stage"] == JourneyStage.DISCOVER
    assert features["max_stage"] == JourneyStage.DECIDE
    assert features["stage_backsteps"] == 1
    features = features_of([*visit, an_event(event_id="e9", type=EventType.CHECKOUT_START)])
    assert features["stage"] == features["max_stage"] == JourneyStage.DO


@pytest.mark.parametrize("kind", [EventType.OTHER, EventType.SESSION_START, EventType.IDENTIFY])
def test_what_has_no_stage_leaves_it(kind: EventType) -> None:
    """An event without a stage gives none, and takes none back."""
    features = features_of(steps(kind))
    assert isnan(features["stage"])
    assert isnan(features["max_stage"])
    features = features_of(steps(EventType.CART_ADD, kind))
    assert features["stage"] == JourneyStage.DECIDE
    assert features["stage_backsteps"] == 0


def test_checkout_steps() -> None:
    """Start, shipping and payment are three steps; time runs from the first of them."""
    visit = steps(EventType.CHECKOUT_START, EventType.CHECKOUT_STEP)
    features = features_of(visit)
    assert features["n_checkout_steps"] == 2
    assert features["shipping_seen_no_payment"] == 1
    assert features["payment_seen"] == 0
    features = features_of(
        steps(EventType.CHECKOUT_START, EventType.CHECKOUT_STEP, EventType.PAYMENT_INFO)
    )
    assert features["n_checkout_steps"] == 3
    assert features["shipping_seen_no_payment"] == 0
    assert features["payment_seen"] == 1
    assert features["secs_since_checkout"] == 20


def test_no_checkout() -> None:
    """A checkout page is a stage, not yet a checkout that has begun."""
    features = features_of([an_event(page_type=PageType.CHECKOUT)])
    assert features["stage"] == JourneyStage.DO
    assert features["n_checkout_steps"] == 0
    assert isnan(features["secs_since_checkout"])


def test_what_went_wrong() -> None:
    """Refused coupons and failed payments are counted; accepted coupons are not."""
    kinds = (EventType.COUPON_DENY, EventType.COUPON_DENY, EventType.COUPON_APPLY,
             EventType.PAYMENT_ERROR)  # fmt: skip
    features = features_of(steps(*kinds))
    assert features["coupon_denied"] == 2
    assert features["payment_errors"] == 1


def test_coupons() -> None:
    """A coupon is applied until it is removed; of two, removing one leaves one."""
    apply, remove = EventType.COUPON_APPLY, EventType.COUPON_REMOVE
    assert features_of(steps(EventType.COUPON_ENTER))["coupon_applied"] == 0
    assert features_of(steps(apply))["coupon_applied"] == 1
    assert features_of(steps(apply, remove))["coupon_applied"] == 0
    assert features_of(steps(apply, apply, remove))["coupon_applied"] == 1
    assert features_of(steps(remove, apply))["coupon_applied"] == 1

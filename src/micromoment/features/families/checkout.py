"""The way to the order: journey stage, checkout steps, what was seen and what went wrong.

Shops fire checkout events once, twice or three times: features say "has happened" and count steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.vocabulary import EventType, JourneyStage
from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.spec import FeatureSpec

STATE_FIELDS = [
    ("stage", "u1"),
    ("max_stage", "u1"),
    ("shipping_seen", "u1"),
    ("payment_seen", "u1"),
    ("n_coupons", "u1"),  # applied and not removed, up to 255
    ("stage_backsteps", "i4"),
    ("n_checkout_steps", "i4"),
    ("coupon_denied", "i4"),
    ("payment_errors", "i4"),
    ("checkout_time", "i8"),
]
# Least 0, greatest this: kernels take them for places, ends of loops, codes and times.
STATE_CAPS = {"stage": max(JourneyStage), "max_stage": max(JourneyStage)}

_STAGES = {
    1: "looking things up",
    2: "looking around the range",
    3: "choosing a product",
    4: "ordering",
}

FEATURES = (
    FeatureSpec("stage", "1-4", "journey stage: learn, discover, decide, do", "none so far",
                group="path", says=wording.code("Now the visitor is {}", _STAGES,
                    "No step towards an order yet")),
    FeatureSpec("max_stage", "1-4", "furthest journey stage", "none so far",
                group="path", says=wording.code("Got as far as {}", _STAGES,
                    "No step towards an order yet")),
    FeatureSpec("stage_backsteps", "events", "steps back to an earlier stage",
                group="path", says=wording.count("No step back",
                    "One step back, from cart or checkout say",
                    "{} steps back, from cart or checkout say")),
    FeatureSpec("n_checkout_steps", "events", "checkout and payment events",
                group="checkout", says=wording.count("Checkout not begun",
                    "One checkout step taken", "{} checkout steps taken")),
    FeatureSpec("secs_since_checkout", "s", "time since the checkout first began", "not begun",
                group="checkout", says=wording.elapsed("Checkout began {} ago",
                    "Checkout not begun", "Checkout has just begun")),
    FeatureSpec("shipping_seen_no_payment", "0/1", "a checkout step, no payment details yet",
                group="checkout", says=wording.fact("Not between delivery and payment",
                    "Checkout has come to delivery, not to payment")),
    FeatureSpec("payment_seen", "0/1", "payment details were entered",
                group="checkout", says=wording.fact("No payment details entered",
                    "Payment details entered")),
    FeatureSpec(
        "coupon_applied",
        "0/1",
        "a coupon was applied and not removed",
        group="coupons",
        says=wording.fact("No coupon applied", "Coupon applied"),
    ),
    FeatureSpec("coupon_denied", "events", "coupons refused",
                group="coupons", says=wording.count("No coupon refused", "One coupon refused",
                    "{} coupons refused")),
    FeatureSpec("payment_errors", "events", "payments failed",
                group="checkout", says=wording.count("No payment failed", "One payment failed",
                    "{} payments failed")),
)  # fmt: skip

_CHECKOUT_START = int(EventType.CHECKOUT_START)
_CHECKOUT_STEP = int(EventType.CHECKOUT_STEP)
_PAYMENT_INFO = int(EventType.PAYMENT_INFO)
_PAYMENT_ERROR = int(EventType.PAYMENT_ERROR)
_COUPON_APPLY = int(EventType.COUPON_APPLY)
_COUPON_DENY = int(EventType.COUPON_DENY)
_COUPON_REMOVE = int(EventType.COUPON_REMOVE)
_BYTE_CAP = 255


@compiled
def observe(state: Any, event: Any, stage: int, now: int) -> None:
    """Fold one event of journey stage `stage` (0 for none) at feature time `now`."""
    if stage > 0:
        if stage < state["stage"]:
            state["stage_backsteps"] += 1
        state["stage"] = stage
        state["max_stage"] = max(stage, state["max_stage"])
    kind = event["type"]
    if kind == _COUPON_APPLY:
        if state["n_coupons"] < _BYTE_CAP:
            state["n_coupons"] += 1
    elif kind == _COUPON_REMOVE:
        if state["n_coupons"] > 0:
            state["n_coupons"] -= 1
    elif kind == _COUPON_DENY:
        state["coupon_denied"] += 1
    elif kind == _PAYMENT_ERROR:
        state["payment_errors"] += 1
    elif kind == _CHECKOUT_START or kind == _CHECKOUT_STEP or kind == _PAYMENT_INFO:
        state["n_checkout_steps"] += 1
        if state["checkout_time"] == 0:
            state["checkout_time"] = now
        if kind == _CHECKOUT_STEP:
            state["shipping_seen"] = 1
        elif kind == _PAYMENT_INFO:
            state["payment_seen"] = 1


@compiled
def describe(state: Any, now: int, out: Any) -> None:
    """Write the family's features as of `now`."""
    out["stage"] = state["stage"] if state["stage"] > 0 else np.nan
    out["max_stage"] = state["max_stage"] if state["max_stage"] > 0 else np.nan
    out["stage_backsteps"] = state["stage_backsteps"]
    out["n_checkout_steps"] = state["n_checkout_steps"]
    begun = state["checkout_time"] > 0
    out["secs_since_checkout"] = (now - state["checkout_time"]) / 1e6 if begun else np.nan
    unpaid = state["shipping_seen"] == 1 and state["payment_seen"] == 0
    out["shipping_seen_no_payment"] = 1.0 if unpaid else 0.0
    out["payment_seen"] = state["payment_seen"]
    out["coupon_applied"] = 1.0 if state["n_coupons"] > 0 else 0.0
    out["coupon_denied"] = state["coupon_denied"]
    out["payment_errors"] = state["payment_errors"]

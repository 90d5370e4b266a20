"""The visitor from before the visit, as of the moment when the session took the snapshot up."""

from __future__ import annotations

from typing import Any

import numpy as np

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
]

_UNAVAILABLE = "store did not answer"

FEATURES = (
    FeatureSpec("user_prior_sessions", "sessions", "sessions before this one", _UNAVAILABLE),
    FeatureSpec("user_sessions_30d", "sessions", "the same within 30 days", _UNAVAILABLE),
    FeatureSpec("user_days_since_visit", "days", "time since the last event before", "no history"),
    FeatureSpec("user_recency_days", "days", "time since the last order", "no order"),
    FeatureSpec("user_frequency_365d", "orders", "orders within 365 days", _UNAVAILABLE),
    FeatureSpec("user_monetary_mean", "currency", "mean value of these orders", "no order"),
    FeatureSpec("user_active_days_28d", "days", "days with a visit, of 28", _UNAVAILABLE),
    FeatureSpec("user_active_days_trend", "days", "these minus the 28 before", _UNAVAILABLE),
    FeatureSpec("user_tenure_days", "days", "time since the first event", "no history"),
)

_US_PER_DAY = 86_400_000_000.0
_STATUS_UNAVAILABLE = int(UserStatus.UNAVAILABLE)
_STATUS_FOUND = int(UserStatus.FOUND)


@compiled
def take_up(state: Any, row: Any, status: int, now: int) -> None:
    """Fix the user's features at `now` from a `USER_SNAPSHOT` row (zeros unless found)."""
    count = np.nan if status == _STATUS_UNAVAILABLE else 0.0
    state["user_status"] = status
    state["user_taken_up"] = now
    state["user_snapshot_time"] = row["snapshot_time"]
    state["user_prior_sessions"] = count + row["sessions"]
    state["user_sessions_30d"] = count + row["sessions_30d"]
    state["user_frequency_365d"] = count + row["orders_365d"]
    state["user_active_days_28d"] = count + row["active_days_28d"]
    trend = row["active_days_28d"] - row["active_days_29_56d"]
    state["user_active_days_trend"] = count + trend
    state["user_days_since_visit"] = np.nan
    state["user_tenure_days"] = np.nan
    state["user_recency_days"] = np.nan
    state["user_monetary_mean"] = np.nan
    if status == _STATUS_FOUND:
        state["user_days_since_visit"] = max(now - row["last_seen"], 0) / _US_PER_DAY
        state["user_tenure_days"] = max(now - row["first_seen"], 0) / _US_PER_DAY
        if row["last_order"] > 0:
            state["user_recency_days"] = max(now - row["last_order"], 0) / _US_PER_DAY
        if row["orders_365d"] > 0:
            mean_micros = row["order_value_365d"] / row["orders_365d"]
            state["user_monetary_mean"] = mean_micros / 1e6


@compiled
def describe(state: Any, out: Any) -> None:
    """Write the family's features."""
    out["user_prior_sessions"] = state["user_prior_sessions"]
    out["user_sessions_30d"] = state["user_sessions_30d"]
    out["user_days_since_visit"] = state["user_days_since_visit"]
    out["user_recency_days"] = state["user_recency_days"]
    out["user_frequency_365d"] = state["user_frequency_365d"]
    out["user_monetary_mean"] = state["user_monetary_mean"]
    out["user_active_days_28d"] = state["user_active_days_28d"]
    out["user_active_days_trend"] = state["user_active_days_trend"]
    out["user_tenure_days"] = state["user_tenure_days"]

"""Pace of the visit: how long, how fast, how evenly. Gaps run between distinct feature times."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.spec import FeatureSpec

STATE_FIELDS = [
    ("n_events", "i4"),
    ("n_gaps", "i4"),
    ("gap_sum_s", "f8"),
    ("gap_square_sum", "f8"),
    ("last_gap_s", "f8"),
    ("engagement_s", "f8"),
    ("hover_s", "f8"),
]

FEATURES = (
    FeatureSpec("n_events", "events", "events so far, order confirmation pages left out",
                group="visit_length", says=wording.count("No event so far",
                    "First event of the visit", "{} events so far")),
    FeatureSpec("duration_s", "s", "time since the first event",
                group="visit_length", says=wording.elapsed("Visit has lasted {}",
                    none="Visit has just begun")),
    FeatureSpec("secs_since_prev", "s", "time between the last two moments", "single moment",
                group="pace", says=wording.elapsed("{} between the last two events",
                    "No pause between events yet")),
    FeatureSpec("mean_gap_s", "s", "mean time between moments", "single moment",
                group="pace", says=wording.elapsed("{} between events on average",
                    "No pause between events yet")),
    FeatureSpec("gap_cv", "ratio", "standard deviation of the gaps over their mean", "one gap",
                group="pace", says=wording.bands((0.5, "Even pace"), (1.5, "Uneven pace"),
                    above="Bursts of events with long pauses",
                    missing="Too few pauses to tell the pace")),
    FeatureSpec("events_per_moment", "ratio", "events over distinct times of events",
                group="pace", says=wording.figure("On average {} events at once",
                    one="Events come one at a time")),
    FeatureSpec("engagement_s", "s", "engagement time reported so far",
                group="visit_length", says=wording.elapsed("{} of active time on pages",
                    none="No active time on pages reported")),
    FeatureSpec("hover_s", "s", "time that the pointer rested, as reported",
                group="attention", says=wording.elapsed("Pointer rested on things for {}",
                    none="Pointer rested nowhere")),
)  # fmt: skip

_MIN_GAPS_FOR_SPREAD = 2


@compiled
def observe(state: Any, event: Any, gap_us: int) -> None:
    """Fold one event; `gap_us` is the feature time since the event before, 0 at the first."""
    state["n_events"] += 1
    if gap_us > 0:
        gap_s = gap_us / 1e6
        state["n_gaps"] += 1
        state["gap_sum_s"] += gap_s
        state["gap_square_sum"] += gap_s * gap_s
        state["last_gap_s"] = gap_s
    if event["engagement_ms"] > 0:
        state["engagement_s"] += event["engagement_ms"] / 1e3
    if event["hover_ms"] > 0:
        state["hover_s"] += event["hover_ms"] / 1e3


@compiled
def describe(state: Any, now: int, out: Any) -> None:
    """Write the family's features as of `now`, microseconds since 1970."""
    gaps = state["n_gaps"]
    out["n_events"] = state["n_events"]
    # A session without events has no first time.
    out["duration_s"] = (now - state["first_time"]) / 1e6 if state["n_events"] > 0 else 0.0
    out["secs_since_prev"] = state["last_gap_s"] if gaps > 0 else np.nan
    out["mean_gap_s"] = state["gap_sum_s"] / gaps if gaps > 0 else np.nan
    out["gap_cv"] = np.nan
    if gaps >= _MIN_GAPS_FOR_SPREAD:
        mean = state["gap_sum_s"] / gaps
        variance = max(state["gap_square_sum"] / gaps - mean * mean, 0.0)
        out["gap_cv"] = sqrt(variance) / mean
    out["events_per_moment"] = state["n_events"] / (gaps + 1)
    out["engagement_s"] = state["engagement_s"]
    out["hover_s"] = state["hover_s"]

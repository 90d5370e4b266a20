"""Pace of the visit, by hand."""

from math import isnan, sqrt

import pytest

from tests.support.events import SECOND, START_US, an_event
from tests.support.folding import features_of


def test_pace_of_three_gaps() -> None:
    """Five events at 0, 10, 10, 30 and 90 s are four moments with gaps of 10, 20 and 60 s."""
    seconds = (0, 10, 10, 30, 90)
    visit = [
        an_event(event_id=f"e{n}", event_time=START_US + second * SECOND)
        for n, second in enumerate(seconds)
    ]
    features = features_of(visit)
    assert features["n_events"] == 5
    assert features["duration_s"] == 90
    assert features["secs_since_prev"] == 60
    assert features["mean_gap_s"] == 30
    deviation = sqrt((20**2 + 10**2 + 30**2) / 3)
    assert features["gap_cv"] == pytest.approx(deviation / 30)
    assert features["events_per_moment"] == 1.25


def test_a_single_moment_has_no_gaps() -> None:
    """Two events at one time have a duration of 0 and no gap; one gap has no spread."""
    pair = [an_event(), an_event(event_id="e2")]
    features = features_of(pair)
    assert features["duration_s"] == 0
    assert features["events_per_moment"] == 2
    assert all(isnan(features[name]) for name in ("secs_since_prev", "mean_gap_s", "gap_cv"))
    later = an_event(event_id="e3", event_time=START_US + 4 * SECOND)
    features = features_of([*pair, later])
    assert features["secs_since_prev"] == features["mean_gap_s"] == 4
    assert isnan(features["gap_cv"])


def test_duration_runs_on_to_the_time_asked_for() -> None:
    """Described later than its last event, a visit is longer, with the same gaps."""
    later = START_US + 100 * SECOND
    features = features_of([an_event()], now=later)
    assert features["duration_s"] == 100
    assert isnan(features["secs_since_prev"])


def test_reported_times_add_up() -> None:
    """Engagement and hovering are summed in seconds; what is missing adds nothing."""
    visit = [
        an_event(event_id="e1", engagement_ms=1_500, hover_ms=250),
        an_event(event_id="e2", engagement_ms=2_000),
        an_event(event_id="e3"),
    ]
    features = features_of(visit)
    assert features["engagement_s"] == 3.5
    assert features["hover_s"] == 0.25

"""Histograms read as those of the Prometheus client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as TheirHistogram

from micromoment.telemetry.histograms import Histograms

BOUNDS = (0.001, 0.25, 1.0, 2.5)


@given(st.lists(st.sampled_from([0.0, 0.001, 0.0011, 0.25, 0.9, 1.0, 2.5, 7.0]), max_size=30))
def test_shown_as_prometheus_own(values: list[float]) -> None:
    """Buckets, their names, counts and sums are the same; a bound belongs to its bucket."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Histograms("call_seconds", "Calls", ("method",), BOUNDS)
    ours.register(mine)
    other = TheirHistogram("call_seconds", "Calls", ("method",), buckets=BOUNDS, registry=theirs)
    for value in values:
        mine.of("Score").observe(value)
        other.labels("Score").observe(value)
    expected = generate_latest(theirs).decode().splitlines()
    shown = generate_latest(ours).decode().splitlines()
    assert shown == [line for line in expected if "_created" not in line]


def test_each_combination_of_labels_has_its_own() -> None:
    """And what was never measured is not shown."""
    registry = CollectorRegistry()
    found = Histograms("call_seconds", "Calls", ("method", "code"), BOUNDS)
    registry.register(found)
    found.of("Score", "OK").observe(0.5)
    found.of("Score", "INTERNAL").observe(0.5)
    read = registry.get_sample_value
    assert read("call_seconds_count", {"method": "Score", "code": "OK"}) == 1
    assert read("call_seconds_count", {"method": "Score", "code": "CANCELLED"}) is None

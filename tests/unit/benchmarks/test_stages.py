"""What our server publishes of the parts of a call is read back."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from benchmarks.serving.cases import Results, run_stages
from benchmarks.serving.measures import Load, load_of
from benchmarks.serving.stages import Stage, parsed
from benchmarks.serving.targets import TARGETS
from micromoment.telemetry.metrics import Metrics


def look(metrics: Metrics) -> dict[str, Stage]:
    """Read what would be published now."""
    return parsed(generate_latest(metrics.registry).decode())


def test_only_what_was_added_counts() -> None:
    """Calls of before a run don't count into it; stages without a call are left out."""
    metrics = Metrics()
    for _ in range(10):
        metrics.stage_ended("score", 0.2)
        metrics.stage_ended("user", 0.2)

    def drive() -> Load:
        for _ in range(100):
            metrics.stage_ended("score", 0.00003)
        return load_of([1.0], 1.0, 0.0)

    (found,) = run_stages(
        lambda _in_flight, _seconds: drive,
        lambda: look(metrics),
        rounds=1,
        seconds=0.0,
    )
    assert set(found) == {"score"}
    assert found["score"].calls == 100
    assert found["score"].mean_us == pytest.approx(30)
    assert 25 <= found["score"].median_us <= 50


def test_a_median_lies_within_its_bucket() -> None:
    """Half of the calls below 10 us, half below 20: the median is the bound between them."""
    stage = Stage(seconds=1.0, calls=4, below={1e-5: 2.0, 2e-5: 4.0, float("inf"): 4.0})
    assert stage.median_us == pytest.approx(10)
    later = Stage(seconds=1.0, calls=4, below={1e-5: 1.0, 2e-5: 4.0, float("inf"): 4.0})
    assert later.median_us == pytest.approx(10 + 10 / 3)
    slow = Stage(seconds=9.0, calls=4, below={1e-5: 1.0, float("inf"): 4.0})
    assert slow.median_us == float("inf")


def test_the_time_inside_the_server_has_a_target() -> None:
    """It is the median of the part `score`, and not measured without a round."""
    (target,) = (one for one in TARGETS if "inside the server" in one.what)
    assert target.find(Results()) is None
    stage = Stage(seconds=1.0, calls=4, below={1e-5: 2.0, 2e-5: 4.0})
    found = target.find(Results(stages=[{"score": stage}]))
    assert found is not None
    assert found == pytest.approx([10])

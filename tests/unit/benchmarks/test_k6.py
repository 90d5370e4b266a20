"""What k6 reports at its end is read, and its failures are told."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.serving import k6


def summary(passes: int = 100, fails: int = 0, **more: dict[str, Any]) -> dict[str, Any]:
    """Give k6's summary as its script gets it."""
    return {
        "state": {"testRunDurationMs": 2_500.0},
        "metrics": {
            "checks": {"values": {"rate": 1, "passes": passes, "fails": fails}},
            "grpc_req_duration": {"values": {"med": 0.5, "p(99)": 3.25, "max": 9.0}},
            **more,
        },
    }


def test_a_run_is_read() -> None:
    """Calls, time and latencies are k6's own."""
    found = k6.parsed(summary())
    assert (found.load.calls, found.load.seconds) == (100, 2.5)
    assert (found.load.p50_ms, found.load.p99_ms) == (0.5, 3.25)
    assert found.dropped == 0


def test_late_calls_are_counted() -> None:
    """Calls that k6 had nobody free for are its own limit, not the server's."""
    found = k6.parsed(summary(dropped_iterations={"values": {"count": 7, "rate": 1.0}}))
    assert found.dropped == 7


@pytest.mark.parametrize("checks", [{"fails": 1}, {"passes": 0}])
def test_a_failed_call_is_told(checks: dict[str, int]) -> None:
    """One wrong reply, or none at all, ends the benchmark."""
    with pytest.raises(k6.K6Error, match="calls failed"):
        k6.parsed(summary(checks.get("passes", 100), checks.get("fails", 0)))

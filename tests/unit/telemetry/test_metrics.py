"""Metrics: counted, readable, and few whatever is sent."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from micromoment.errors import InvalidSettingError
from micromoment.scoring.calls import Degraded
from micromoment.telemetry.metrics import Metrics, MetricsServer
from tests.support.serving import a_score


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Read one number."""
    return metrics.registry.get_sample_value(name, labels)


def test_calls_are_counted_by_method_and_code() -> None:
    """Rate, errors and duration come from one histogram."""
    metrics = Metrics()
    metrics.call_ended("Score", "OK", 0.25)
    metrics.call_ended("Score", "OK", 0.25)
    metrics.call_ended("Score", "INTERNAL", 0.5)
    assert value(metrics, "micromoment_call_seconds_count", method="Score", code="OK") == 2
    assert value(metrics, "micromoment_call_seconds_sum", method="Score", code="INTERNAL") == 0.5


def test_answers_that_lacked_something_are_counted_by_reason() -> None:
    """Each reason of an answer counts once."""
    metrics = Metrics()
    metrics.scored(a_score(degraded=(Degraded.STATE_LOST, Degraded.FOREIGN_CURRENCY)))
    metrics.scored(a_score())
    assert value(metrics, "micromoment_degraded_total", reason="state_lost") == 1
    assert value(metrics, "micromoment_degraded_total", reason="foreign_currency") == 1


def test_sessions_and_bundle_are_those_of_now() -> None:
    """The gauge asks when it is read; a new bundle replaces the old one's series."""
    metrics, sessions = Metrics(), [1]
    metrics.watch(sessions=lambda: len(sessions))
    metrics.answers_with("shop:1", 1.0)
    metrics.answers_with("shop:2", time.time() - 3_600)
    sessions.append(2)
    assert value(metrics, "micromoment_sessions") == 2
    assert value(metrics, "micromoment_bundle_info", bundle="shop:2") == 1
    assert value(metrics, "micromoment_bundle_info", bundle="shop:1") is None
    assert 3_600 <= (value(metrics, "micromoment_bundle_age_seconds") or 0) < 3_700


def test_what_sessions_take_and_why_they_go_are_those_of_now() -> None:
    """Bytes and counts by reason are asked for when they are read."""
    metrics, gone = Metrics(), {"capacity": 1}
    metrics.watch_session_memory(lambda: 2_900, gone.items)
    gone["capacity"] += 1
    assert value(metrics, "micromoment_session_bytes") == 2_900
    assert value(metrics, "micromoment_session_evictions_total", reason="capacity") == 2


def test_ids_add_no_series() -> None:
    """Ten thousand answers with ids of their own leave the number of series as it was."""
    metrics = Metrics()
    metrics.scored(a_score(degraded=tuple(Degraded)))
    before = len(generate_latest(metrics.registry).splitlines())
    for number in range(10_000):
        metrics.scored(a_score(last_event_id=str(number), degraded=tuple(Degraded)))
    assert len(generate_latest(metrics.registry).splitlines()) == before


def test_every_metric_is_documented() -> None:
    """The operations page lists each by the name under which it is read."""
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in Metrics().registry.collect()
    }
    own = {name for name in names if name.startswith("micromoment_")}
    assert own
    assert [name for name in own if f"`{name}" not in page] == []


def test_two_servers_count_apart() -> None:
    """Each has a registry of its own."""
    one, other = Metrics(), Metrics()
    one.events_taken("accepted", 3)
    assert value(one, "micromoment_events_total", outcome="accepted") == 3
    assert value(other, "micromoment_events_total", outcome="accepted") is None


def test_metrics_are_read_over_http() -> None:
    """The server answers on its port in Prometheus' text form."""
    metrics = Metrics()
    metrics.set_serving(True)
    server = MetricsServer(metrics, "127.0.0.1", 0)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{server.port}/metrics") as reply:
        text = reply.read().decode()
    server.close()
    assert "micromoment_serving 1.0" in text


def test_a_taken_port_names_its_setting() -> None:
    """A second server on the port is an error that names metrics_port."""
    server = MetricsServer(Metrics(), "127.0.0.1", 0)
    with pytest.raises(InvalidSettingError, match="metrics_port"):
        MetricsServer(Metrics(), "127.0.0.1", server.port)
    server.close()

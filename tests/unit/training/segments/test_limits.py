"""Limits: quantiles and rates of the shop's own visits, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.features.catalogue import FEATURE_NAMES
from training.segments.definitions import AudienceDefinitions
from training.segments.limits import learn_limits


def write_decisions(folder: Path, rows: list[dict[str, Any]], files: int = 2) -> list[Path]:
    """Write decision points as the replay does, a visit in one file: all that isn't given is 0."""
    paths = []
    for number in range(files):
        own = [row for row in rows if row["visit"] % files == number]
        columns: dict[str, pa.Array] = {
            "session_id": pa.array([f"s{row['visit']}" for row in own], pa.string()),
            "epoch": pa.array([row.get("epoch", 0) for row in own], pa.int32()),
            "events_seen": pa.array([row["events"] for row in own], pa.int64()),
            "journey_stage": pa.array([row.get("stage_name", "learn") for row in own], pa.string()),
            "label": pa.array([row.get("label", False) for row in own], pa.bool_()),
        }
        for name in FEATURE_NAMES:
            columns[name] = pa.array([np.float32(row.get(name, 0)) for row in own], pa.float32())
        paths.append(folder / f"{number}.parquet")
        pq.write_table(pa.table(columns), paths[-1])
    return paths


def learn(paths: list[Path], **limit: Any) -> tuple[float, int]:  # noqa: ANN401 - fields of a limit
    """Learn one limit."""
    definitions = AudienceDefinitions.model_validate(
        {"limits": {"one": {"default": 0.75} | limit}, "audiences": []}
    )
    values, rows = learn_limits(definitions, paths)
    return values["one"], rows["one"]


@pytest.fixture
def decisions(tmp_path: Path) -> list[Path]:
    """200 visits: v has v + 1 events, seen one by one; from 100 on a cart; a few of them buy."""
    rows = [
        {
            "visit": visit,
            "events": events,
            "n_events": events,
            "cart_qty": float(visit >= 100 and events > 50),
            "customer_recency_days": np.nan if visit % 2 else visit,
            "stage_name": "do" if visit >= 150 else "learn",
            "label": visit >= 180,
        }
        for visit in range(200)
        for events in range(1, visit + 2, 10)
    ]
    order = np.random.default_rng(1).permutation(len(rows))
    return write_decisions(tmp_path, [rows[place] for place in order])


def test_a_quantile_is_over_visits_as_they_ended(decisions: list[Path]) -> None:
    """Each visit counts once, with its last decision point."""
    last = [max(range(1, visit + 2, 10)) for visit in range(200)]
    value, rows = learn(decisions, feature="n_events", quantile=0.9)
    assert value == pytest.approx(np.quantile(last, 0.9))
    assert rows == 200


def test_missing_values_do_not_count(decisions: list[Path]) -> None:
    """Half of the visits have no recency."""
    found = learn(decisions, feature="customer_recency_days", quantile=0.5)
    assert found == (np.median(np.arange(0, 200, 2)), 100)


def test_among_chooses_by_a_rule(decisions: list[Path]) -> None:
    """Features and the stage may say which visits count."""
    last = [max(range(1, visit + 2, 10)) for visit in range(150, 200)]
    found = learn(
        decisions, feature="n_events", quantile=0.5, among="stage == 'do' && cart_qty >= 1.0"
    )
    assert found == (np.median(last), 50)


def test_a_rate_is_over_decision_points(decisions: list[Path]) -> None:
    """The share of points, of those that count, with an order still to come."""
    points = [visit for visit in range(100, 200) for e in range(1, visit + 2, 10) if e > 50]
    value, rows = learn(decisions, outcome="conversion", among="cart_qty >= 1.0")
    assert rows == len(points)
    assert value == pytest.approx(np.mean([visit >= 180 for visit in points]), abs=1e-6)


def test_too_few_leave_the_default(decisions: list[Path]) -> None:
    """Below fifty rows the file's own number stands, and the count says so."""
    assert learn(decisions, feature="n_events", quantile=0.5, among="n_events > 151.0") == (
        0.75,
        40,
    )
    assert learn(decisions, outcome="conversion", among="false") == (0.75, 0)


def test_visits_of_one_session_count_apart(tmp_path: Path) -> None:
    """A session id that began afresh after a gap is two visits."""
    rows = [
        {"visit": visit, "epoch": epoch, "events": 5, "n_events": 5}
        for visit in range(40)
        for epoch in range(2)
    ]
    found = learn(write_decisions(tmp_path, rows), feature="n_events", quantile=0.5)
    assert found == (5.0, 80)


def test_no_decision_points_leave_all_defaults(tmp_path: Path) -> None:
    """A shop with orders alone has no point to learn from."""
    assert learn(write_decisions(tmp_path, []), feature="n_events", quantile=0.5) == (0.75, 0)

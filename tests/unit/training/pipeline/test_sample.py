"""The sample of decision points depends on the points alone."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from micromoment.features.catalogue import CONVERSION_FEATURES
from training.pipeline.sample import PointSample


def scored(n: int) -> pa.Table:
    """Make scored rows: every fifth is no decision point, and n_events is the row's number."""
    place = np.arange(n)
    columns: dict[str, Any] = {
        "decision_id": [f"s:{i}" for i in place],
        "session_id": "s",
        "visitor_id": "v",
        "epoch": 0,
        "feature_time": datetime(2024, 5, 1),  # noqa: DTZ001 - a column without a zone
        "events_seen": 1,
        "label": False,
        "day": date(2024, 5, 1),
        "batch_last": place % 5 > 0,
        "converted": False,
        "after_order": False,
        "conversion": [0.5 if i % 2 else None for i in place],
    }
    table = pa.table(
        {name: value if np.ndim(value) else [value] * n for name, value in columns.items()}
    )
    for name in CONVERSION_FEATURES:
        values = place if name == "n_events" else np.zeros(n)
        table = table.append_column(name, pa.array(values.astype(np.float32)))
    return table


@pytest.mark.parametrize("parts", [1, 3])
def test_parts_change_nothing(parts: int) -> None:
    """The same points are kept, however the table is parted and in whatever order it comes."""
    table = scored(300)
    sample = PointSample(40)
    for part in reversed(range(parts)):
        sample.look(table.slice(part * 300 // parts, 300 // parts))
    found = sample.points()
    assert found is not None
    kept = sorted(found.rows.columns(("n_events",))[:, 0].astype(int).tolist())
    whole = PointSample(40)
    whole.look(table)
    expected = whole.points()
    assert expected is not None
    assert kept == sorted(expected.rows.columns(("n_events",))[:, 0].astype(int).tolist())
    assert len(kept) == len(set(kept)) == 40
    assert all(place % 5 for place in kept)


def test_scores_go_with_their_points() -> None:
    """What has no score is NaN; without any point there is no sample."""
    sample = PointSample(1_000)
    sample.look(scored(20))
    found = sample.points()
    assert found is not None
    odd = found.rows.columns(("n_events",))[:, 0] % 2 == 1
    assert np.array_equal(np.isnan(found.conversion), ~odd)
    assert PointSample(5).points() is None

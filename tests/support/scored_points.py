"""Scored decision rows by hand: all that isn't given is 0, null or the first of its kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from micromoment.features.catalogue import FEATURE_NAMES

START: Final = datetime(2024, 5, 1, 10, tzinfo=UTC)


def scored_rows(*rows: dict[str, Any]) -> pa.Table:
    """Make a table as `score_table` gives it, one row a minute.

    A row is of session and visitor "s" unless it says otherwise; `seen` are the events seen, by
    default the row's place in its session, and any feature goes by its name.
    """
    seen: dict[str, int] = {}
    full = []
    for place, row in enumerate(rows):
        session = row.get("session", "s")
        seen[session] = row.get("seen", seen.get(session, 0) + 1)
        full.append({"session": session, "at": place, **row, "seen": seen[session]})
    columns: dict[str, pa.Array] = {
        "session_id": pa.array([row["session"] for row in full], pa.string()),
        "visitor_id": pa.array([row.get("visitor", row["session"]) for row in full], pa.string()),
        "epoch": pa.array([row.get("epoch", 0) for row in full], pa.int32()),
        "event_time": pa.array(
            [START + timedelta(minutes=row["at"]) for row in full], pa.timestamp("us", tz="UTC")
        ),
        "source_seq": pa.array([row.get("seq", row["seen"]) for row in full], pa.int64()),
        "events_seen": pa.array([row["seen"] for row in full], pa.int64()),
        "batch_last": pa.array([row.get("batch_last", True) for row in full], pa.bool_()),
        "converted": pa.array([row.get("converted", False) for row in full], pa.bool_()),
        "after_order": pa.array([row.get("after_order", False) for row in full], pa.bool_()),
        "label": pa.array([row.get("label", False) for row in full], pa.bool_()),
        "conversion": pa.array([row.get("conversion") for row in full], pa.float64()),
        "churn": pa.array([row.get("churn") for row in full], pa.float64()),
        "lifecycle": pa.array([row.get("lifecycle", "new") for row in full], pa.string()),
        "cluster": pa.array([row.get("cluster", "few") for row in full], pa.string()),
        "audiences": pa.array([row.get("audiences", []) for row in full], pa.list_(pa.string())),
    }
    for name in FEATURE_NAMES:
        columns[name] = pa.array([np.float32(row.get(name, 0)) for row in full], pa.float32())
    return pa.table(columns)

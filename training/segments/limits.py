"""Limits of audiences, learned from the shop's own visits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.events.hashing import hash_strings
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.audiences import PointFacts
from training.segments.definitions import (
    AudienceDefinitions,
    QuantileLimit,
    RateLimit,
    among_rule,
)

MIN_ROWS: Final = 50
_MAX_VISITS: Final = 10_000
_DIGITS: Final = 6
_COLUMNS: Final = ("session_id", "epoch", "events_seen", "journey_stage", "label")

BoolArray = npt.NDArray[np.bool_]


def learn_limits(
    definitions: AudienceDefinitions, decisions: Sequence[Path]
) -> tuple[dict[str, float], dict[str, int]]:
    """Learn each limit from replayed decision points; gives values, and rows that each rests on.

    `decisions` are Parquet files with `DECISION_COLUMNS` and all features. Some ten thousand visits
    of them are taken, the same for the same sessions.
    """
    points = _sample(decisions)
    last = _last_of_visit(points)
    values, rows = {}, {}
    for name, limit in definitions.limits.items():
        table = points.filter(pa.array(last)) if isinstance(limit, QuantileLimit) else points
        if limit.among is not None:
            table = table.filter(pa.array(_among(name, limit.among, table)))
        value, rows[name] = _learn(limit, table)
        values[name] = round(value, _DIGITS)
    return values, rows


def _learn(limit: QuantileLimit | RateLimit, table: pa.Table) -> tuple[float, int]:
    column = limit.feature if isinstance(limit, QuantileLimit) else "label"
    values = table[column].to_numpy().astype(np.float64)
    values = values[~np.isnan(values)]
    if len(values) < MIN_ROWS:
        return limit.default, len(values)
    if isinstance(limit, QuantileLimit):
        return float(np.quantile(values, limit.quantile)), len(values)
    return float(values.mean()), len(values)


def _sample(decisions: Sequence[Path]) -> pa.Table:
    hashes = [
        hash_strings(pq.read_table(path, columns=["session_id"])["session_id"])
        for path in decisions
    ]
    visits = np.unique(np.concatenate(hashes))
    highest = visits[min(len(visits), _MAX_VISITS) - 1] if len(visits) else 0
    tables = []
    for path, own in zip(decisions, hashes, strict=True):
        table = pq.read_table(path, columns=[*_COLUMNS, *FEATURE_NAMES])
        tables.append(table.filter(pa.array(own <= highest)))
    return pa.concat_tables(tables)


def _last_of_visit(points: pa.Table) -> BoolArray:
    visit = pc.binary_join_element_wise(
        points["session_id"], pc.cast(points["epoch"], pa.string()), ":"
    )
    codes = pc.dictionary_encode(visit.combine_chunks()).indices.to_numpy()
    order = np.lexsort((points["events_seen"].to_numpy(), codes))
    last = np.zeros(len(points), np.bool_)
    ends = np.append(codes[order][1:] != codes[order][:-1], np.ones(min(len(points), 1), np.bool_))
    last[order[ends]] = True
    return last


def _among(name: str, rule: str, table: pa.Table) -> BoolArray:
    """Tell where a rule holds, which may use features and the stage."""
    audiences = among_rule(name, rule, FEATURE_NAMES)
    columns = [table[feature].to_numpy() for feature in FEATURE_NAMES]
    matrix = np.stack(columns, axis=1) if len(table) else np.empty((0, len(columns)), np.float32)
    holds = [
        audiences.bits(row, _facts(stage)) == 1
        for row, stage in zip(matrix.tolist(), table["journey_stage"].to_pylist(), strict=True)
    ]
    return np.array(holds, dtype=np.bool_)


def _facts(stage: str) -> PointFacts:
    return PointFacts(
        conversion=None,
        abandonment=None,
        churn=None,
        converted=False,
        stage=stage,
        lifecycle="unspecified",
        cluster="",
    )

"""Fit what a bundle says of visits: model, baseline for comparison, calibrator, its error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from training.cluster import DaskCluster
from training.drift import TrainingHistograms, histograms_of
from training.evaluation.evaluate import DEFAULT_KS
from training.evaluation.metrics import measure
from training.models.baseline import BASELINE_FEATURES, fit_baseline
from training.models.calibration_track import (
    CALIBRATION_KS,
    CalibrationTrack,
    DayOutcomes,
    begin_track,
)
from training.models.conversion import (
    ConversionParams,
    Growth,
    Split,
    find_growth,
    fit_conversion,
    later_scores,
)
from training.models.rows import DecisionRows, join_rows
from training.models.weights import at_counts
from training.pipeline.blocks import Block
from training.pipeline.splits import usable_splits
from training.publishing.bundle import ConversionParts

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FittedVisits:
    """What training learned of visits.

    `metrics` are of models that had not seen the days which they were judged on, each day with the
    calibrator of the day before.
    """

    parts: ConversionParts
    growth: Growth
    metrics: dict[str, Any]
    rows: int
    buyers: int
    histograms: TrainingHistograms


@dataclass(frozen=True)
class _Judged:
    """Later rows of all blocks, in order of days, with what was predicted of them before."""

    rows: DecisionRows
    conversion: FloatArray
    baseline: FloatArray


def fit_visits(
    rows: DecisionRows,
    blocks: Sequence[Block],
    params: ConversionParams,
    cluster: DaskCluster | None = None,
) -> FittedVisits:
    """Stop and calibrate on the later days of all blocks, then fit the model on all days.

    Trees grow here or on a cluster; the baseline and the calibration always here.

    Raises `NotEnoughDataError` when the last block has too few visits with an order.
    """
    splits = usable_splits(rows, blocks)
    growth = find_growth(splits, params, cluster)
    raw = later_scores(splits, growth, params, cluster)
    track, before = _follow([later for _, later in splits], raw)
    judged = _judge(splits, raw, before)
    metrics = _metrics_by_k(judged)
    baseline, _ = fit_baseline(rows)
    text = fit_conversion(rows, growth, params, cluster)
    parts = ConversionParts(text, rows.feature_names, track, _calibration_error(metrics), baseline)
    histograms = histograms_of(rows.features, rows.feature_names, judged.conversion)
    return FittedVisits(parts, growth, metrics, len(rows), rows.buyers, histograms)


def _follow(
    later: Sequence[DecisionRows], raw: Sequence[FloatArray]
) -> tuple[CalibrationTrack, list[CalibrationTrack]]:
    """Follow the calibration through the later days; gives it at the end, and before each day."""
    days = []
    for rows, scores in zip(later, raw, strict=True):
        counted = at_counts(rows.events_seen, rows.session, CALIBRATION_KS)
        for day in np.unique(rows.day):
            at = counted & (rows.day == day)
            days.append(DayOutcomes(scores[at], rows.label[at], rows.events_seen[at]))
    track = begin_track(days)
    before = []
    for outcomes in days:
        before.append(track)
        track = track.after(outcomes)
    return track, before


def _judge(
    splits: Sequence[Split], raw: Sequence[FloatArray], before: Sequence[CalibrationTrack]
) -> _Judged:
    tracks = iter(before)
    rows, conversion, baseline = [], [], []
    for (train, later), scores in zip(splits, raw, strict=True):
        theirs, _ = fit_baseline(train)
        for day in np.unique(later.day):
            of_day = later.day == day
            calibrator = next(tracks).calibrator
            rows.append(later.take(of_day))
            seen = later.events_seen[of_day].tolist()
            conversion.append(np.array(calibrator.probabilities(scores[of_day].tolist(), seen)))
            baseline.append(theirs.probabilities(rows[-1].columns(BASELINE_FEATURES)))
    return _Judged(join_rows(rows), np.concatenate(conversion), np.concatenate(baseline))


def _metrics_by_k(judged: _Judged) -> dict[str, Any]:
    rows = judged.rows
    metrics: dict[str, Any] = {}
    for k in DEFAULT_KS:
        at_k = at_counts(rows.events_seen, rows.session, [k])
        label = rows.label[at_k]
        if not len(label):
            continue
        metrics[str(k)] = {
            "n": len(label),
            "buyers": int(label.sum()),
            "model": _finite(asdict(measure(label, judged.conversion[at_k]))),
            "baseline": _finite(asdict(measure(label, judged.baseline[at_k]))),
        }
    return {"calibration_days": metrics}


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if isfinite(value) else None for name, value in values.items()}


def _calibration_error(metrics: dict[str, Any]) -> dict[int, float]:
    by_k = metrics["calibration_days"]
    return {int(k): by_k[k]["model"]["ece"] for k in by_k if by_k[k]["model"]["ece"] is not None}

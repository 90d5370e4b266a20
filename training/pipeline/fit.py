"""Fit what a bundle says of visits: model, baseline for comparison, calibrator, its error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.lightgbm_model import LightGbmModel
from training.drift import TrainingHistograms, histograms_of
from training.evaluation.evaluate import DEFAULT_KS
from training.evaluation.metrics import measure
from training.models.baseline import BASELINE_FEATURES, fit_baseline
from training.models.calibration import fit_platt
from training.models.conversion import ConversionParams, fit_conversion, refit
from training.models.rows import DecisionRows
from training.models.weights import prefix_weight, training_weight
from training.pipeline.blocks import Blocks
from training.publishing.bundle import ConversionParts, ModelParts

MIN_BUYERS = 20

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FittedVisits:
    """What training learned of visits. `metrics` are of the calibration days, before the refit."""

    parts: ConversionParts
    trees: int
    metrics: dict[str, Any]
    rows: int
    buyers: int
    histograms: TrainingHistograms


def fit_visits(rows: DecisionRows, blocks: Blocks, params: ConversionParams) -> FittedVisits:
    """Fit on the earlier days, stop and calibrate on the later ones, refit the model on all.

    Raises `NotEnoughDataError` when either block has too few visits with an order.
    """
    later = np.isin(rows.day, [day.toordinal() for day in blocks.calibration])
    # A visit that crosses midnight between the blocks belongs to neither.
    crossing = np.isin(rows.session, np.intersect1d(rows.session[later], rows.session[~later]))
    earlier_rows, later_rows = rows.take(~later & ~crossing), rows.take(later & ~crossing)
    for block, name in ((earlier_rows, "to fit on"), (later_rows, "to calibrate on")):
        if (buyers := _buyers(block)) < MIN_BUYERS:
            raise NotEnoughDataError(
                f"the days {name} hold {buyers} visits with an order still to come; "
                f"{MIN_BUYERS} are needed: give more days"
            )
    model = fit_conversion(earlier_rows, later_rows, params)
    trees = LightGbmModel(model.text, len(rows.feature_names))
    raw = trees.raw_scores(later_rows.features)
    trees.close()
    calibrator = fit_platt(raw, later_rows.label, training_weight(later_rows.events_seen))
    baseline, _ = fit_baseline(earlier_rows)
    unseen = np.array(calibrator.probabilities(raw.tolist()))
    metrics = _metrics_by_k(
        later_rows,
        unseen,
        baseline.probabilities(later_rows.columns(BASELINE_FEATURES)),
    )
    text = model.text
    if params.refit:
        text = refit(rows, model.best_iteration, params)
        baseline, _ = fit_baseline(rows)
    parts = ConversionParts(
        ModelParts(text, calibrator, rows.feature_names), _calibration_error(metrics), baseline
    )
    histograms = histograms_of(rows.features, rows.feature_names, unseen)
    return FittedVisits(parts, model.best_iteration, metrics, len(rows), _buyers(rows), histograms)


def _buyers(rows: DecisionRows) -> int:
    return len(np.unique(rows.session[rows.label]))


def _metrics_by_k(
    rows: DecisionRows, conversion: FloatArray, baseline: FloatArray
) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for k in DEFAULT_KS:
        at_k = prefix_weight(rows.events_seen, rows.session, [k]) > 0
        label = rows.label[at_k]
        if not len(label):
            continue
        metrics[str(k)] = {
            "n": len(label),
            "buyers": int(label.sum()),
            "model": _finite(asdict(measure(label, conversion[at_k]))),
            "baseline": _finite(asdict(measure(label, baseline[at_k]))),
        }
    return {"calibration_days": metrics}


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {name: value if isfinite(value) else None for name, value in values.items()}


def _calibration_error(metrics: dict[str, Any]) -> dict[int, float]:
    by_k = metrics["calibration_days"]
    return {int(k): by_k[k]["model"]["ece"] for k in by_k if by_k[k]["model"]["ece"] is not None}

"""Fit what a bundle says of customers: target, model, calibrator, baselines for comparison."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from math import isfinite
from typing import Any, Final

import numpy as np
import pyarrow as pa

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.calibration import PlattCalibrator
from training.churn.baselines import ChurnBaselines, fit_baselines
from training.churn.cuts import CutPlan, training_cuts
from training.churn.gaps import OrderGaps, survival
from training.churn.model import ChurnParams, CrossFit, cross_fit, fit_trees
from training.churn.population import customers_at
from training.churn.rows import ChurnRows, CustomerHistory, churn_rows, describe_at
from training.churn.target import Target, choose_target
from training.evaluation.metrics import measure
from training.models.calibration import fit_platt
from training.publishing.bundle import ChurnParts, ModelParts
from training.snapshots.cuts import cut_at

# About 30 MB of features; more rows of the same customers would teach little.
MAX_ROWS: Final = 300_000
MIN_VISITORS: Final = 200


@dataclass(frozen=True)
class FittedChurn:
    """What training learned of customers; `metrics` are of held-out visitors on training cuts."""

    parts: ChurnParts
    metrics: dict[str, Any]
    record: dict[str, Any]
    rows: ChurnRows | None = None  # what it was trained on


def fit_churn(
    history: CustomerHistory,
    gaps: OrderGaps,
    first_day: date,
    end: date,
    params: ChurnParams,
) -> FittedChurn:
    """Fit on data from `first_day` to the start of `end`; no window ends later.

    Raises `NotEnoughDataError` saying in numbers why the data tell of no churn.
    """
    choice = choose_target(gaps, (end - first_day).days)
    if choice.target is None:
        raise NotEnoughDataError(choice.reason)
    plan = training_cuts(choice.target, first_day, end)
    rows = churn_rows(history, plan, MAX_ROWS)
    _require_both_outcomes(rows)
    held_out = cross_fit(rows, params)
    calibrator = _calibrate(rows, held_out)
    baselines = fit_baselines(rows, choice.target.kind, _customers(history, choice.target, end))
    model = ModelParts(fit_trees(rows, held_out.trees, params), calibrator, rows.feature_names)
    target = choice.target
    return FittedChurn(
        parts=ChurnParts(model, target.kind, target.horizon_days, baselines),
        metrics=_metrics(rows, held_out.raw, calibrator, baselines, target)
        | _time_to_next_order(gaps, target),
        record=_record(rows, plan, params, held_out.trees, choice.reason),
        rows=rows,
    )


def _calibrate(rows: ChurnRows, held_out: CrossFit) -> PlattCalibrator:
    """Calibrate on the latest third of the cuts, on scores of trees that haven't seen the visitor.

    Fitting on earlier cuts alone would have to leave out a whole horizon before the later ones,
    and a year of orders would be down to a season. Held-out visitors need no such gap, and the
    latest cuts are closest to those that will be asked about: the older the shop's data get, the
    more of its customers are long gone.
    """
    cuts = np.unique(rows.cut)
    later = rows.cut >= cuts[len(cuts) * 2 // 3]
    return fit_platt(held_out.raw[later], rows.label[later], np.ones(int(later.sum())))


def _require_both_outcomes(rows: ChurnRows) -> None:
    for label, what in ((True, "churned"), (False, "came back")):
        visitors = len(np.unique(rows.visitor[rows.label == label]))
        if visitors < MIN_VISITORS:
            raise NotEnoughDataError(
                f"{visitors:,} visitors {what} after a training cut, churn needs {MIN_VISITORS:,}"
            )


def _customers(history: CustomerHistory, target: Target, end: date) -> ChurnRows | None:
    """Describe all customers as of the end of the data, for models of orders."""
    if target.kind != "purchase":
        return None
    cut = cut_at(end, history.shop)
    visitors: pa.Array = customers_at(history.workspace.snapshots, cut, MAX_ROWS)
    return describe_at(history, visitors, cut.time_us)


def _metrics(
    rows: ChurnRows,
    raw: np.ndarray[Any, np.dtype[np.float64]],
    calibrator: PlattCalibrator,
    baselines: ChurnBaselines,
    target: Target,
) -> dict[str, Any]:
    scores = {"model": np.array(calibrator.probabilities(raw.tolist()))}
    scores |= baselines.probabilities(rows, target.horizon_days)
    return {
        "target": target.kind,
        "horizon_days": target.horizon_days,
        "held_out_visitors": {
            name: {
                key: value if isfinite(value) else None
                for key, value in asdict(measure(rows.label, score)).items()
            }
            for name, score in scores.items()
        },
    }


def _time_to_next_order(gaps: OrderGaps, target: Target) -> dict[str, Any]:
    if target.kind != "purchase":
        return {}
    return {"time_to_next_order": asdict(survival(gaps, 3 * target.horizon_days))}


def _record(
    rows: ChurnRows, plan: CutPlan, params: ChurnParams, trees: int, reason: str
) -> dict[str, Any]:
    horizon = timedelta(days=plan.target.horizon_days)
    return {
        "cuts": [cut.isoformat() for cut in plan.cuts],
        "last_window_ends": (plan.cuts[-1] + horizon).isoformat(),
        "rows": len(rows),
        "visitors": len(np.unique(rows.visitor)),
        "churned": int(rows.label.sum()),
        "trees": trees,
        "params": asdict(params),
        "target_chosen_because": reason or "enough customers ordered again",
    }

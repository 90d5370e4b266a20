"""Fit what a bundle says of customers: target, model, calibrator, baselines for comparison."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from math import isfinite
from typing import Any, Final

import numpy as np
import pyarrow as pa

from micromoment.errors import NotEnoughDataError
from training.churn.baselines import ChurnBaselines, fit_baselines
from training.churn.blend import FittedModel, fit_alone, fit_blend
from training.churn.cuts import CutPlan, training_cuts
from training.churn.gaps import OrderGaps, survival
from training.churn.model import ChurnParams
from training.churn.orders import fit_orders
from training.churn.population import customers_at
from training.churn.rows import ChurnRows, CustomerHistory, churn_rows, describe_at
from training.churn.target import Target, choose_target
from training.evaluation.metrics import measure
from training.publishing.bundle import ChurnParts
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
    customers = _customers(history, choice.target, end)
    baselines = fit_baselines(rows, choice.target.kind, customers)
    target = choice.target
    if customers is not None and baselines.bg_nbd is not None:
        orders = fit_orders(baselines.bg_nbd, customers, gaps, first_day, end, target.horizon_days)
        fitted = fit_blend(rows, customers, orders, target.horizon_days, params)
    else:
        fitted = fit_alone(rows, params)
    return FittedChurn(
        parts=ChurnParts(fitted.parts, target.kind, target.horizon_days, fitted.orders, baselines),
        metrics=_metrics(rows, fitted, baselines, target) | _time_to_next_order(gaps, target),
        record=_record(rows, plan, params, fitted.trees, choice.reason),
        rows=rows,
    )


def _require_both_outcomes(rows: ChurnRows) -> None:
    for what, visitors in visitors_by_outcome(rows).items():
        if visitors < MIN_VISITORS:
            raise NotEnoughDataError(
                f"{visitors:,} visitors {what} after a training cut, churn needs {MIN_VISITORS:,}"
            )


def visitors_by_outcome(rows: ChurnRows) -> dict[str, int]:
    """Count the visitors of each outcome; `MIN_VISITORS` of either are needed."""
    outcomes = {"churned": True, "came back": False}
    return {
        what: len(np.unique(rows.visitor[rows.label == label])) for what, label in outcomes.items()
    }


def _customers(history: CustomerHistory, target: Target, end: date) -> ChurnRows | None:
    """Describe all customers as of the end of the data, for models of orders."""
    if target.kind != "purchase":
        return None
    cut = cut_at(end, history.shop)
    visitors: pa.Array = customers_at(history.workspace.snapshots, cut, MAX_ROWS)
    return describe_at(history, visitors, cut.time_us)


def _metrics(
    rows: ChurnRows, fitted: FittedModel, baselines: ChurnBaselines, target: Target
) -> dict[str, Any]:
    calibrator = fitted.parts.calibrator
    scores = {"model": np.array(calibrator.probabilities(fitted.raw.tolist()))}
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

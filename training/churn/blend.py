"""Churn of orders: trees and BG/NBD together, and the level of what they say.

- Trees start from what the season does to BG/NBD, so that they don't take it for something else.
- Trees and BG/NBD count alike. Only where the mean is clearly worse than trees alone do trees
  alone count.
- The slope of the calibrator is fitted as everywhere. Its intercept is not: trees have seen only
  customers as old as those of the cuts, a horizon ago at the latest, and the older the data get,
  the older customers are. BG/NBD is made for that. So the mean probability of today's customers is
  BG/NBD's, calibrated on the same cuts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.manifest import OrdersRecord
from micromoment.scoring.orders import OrderModel
from training.churn.model import (
    TREE_FEATURES,
    ChurnParams,
    CrossFit,
    cross_fit,
    fit_trees,
    raw_scores,
)
from training.churn.orders import EQUAL, OrderColumns, fit_repeats, order_columns
from training.churn.rows import ChurnRows
from training.models.calibration import fit_platt
from training.publishing.bundle import ModelParts

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Log loss in nats by which the mean may be worse on held-out customers of the training cuts, who
# flatter trees: later cuts are other than those.
_TOLERATED: Final = 0.01
_HALVINGS: Final = 100
_FAR: Final = 50.0  # log-odds


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A model with its held-out scores, (n,), before calibration; `orders` for purchases alone."""

    parts: ModelParts
    raw: FloatArray
    trees: int
    orders: OrdersRecord | None


def latest_third(rows: ChurnRows) -> BoolArray:
    """Mark the rows of the latest third of the cuts, which calibrate.

    Fitting on earlier cuts alone would have to leave out a whole horizon before the later ones,
    and a year of orders would be down to a season. Held-out visitors need no such gap, and the
    latest cuts are closest to those that will be asked about: the older the shop's data get, the
    more of its customers are long gone.
    """
    cuts = np.unique(rows.cut)
    later: BoolArray = rows.cut >= cuts[len(cuts) * 2 // 3]
    return later


def fit_alone(rows: ChurnRows, params: ChurnParams) -> FittedModel:
    """Fit trees alone."""
    seen = rows.only(TREE_FEATURES)
    held_out = cross_fit(seen, params)
    later = latest_third(rows)
    calibrator = _platt(held_out.raw, rows, later)
    parts = ModelParts(fit_trees(seen, held_out.trees, params), calibrator, TREE_FEATURES)
    return FittedModel(parts, held_out.raw, held_out.trees, None)


def fit_blend(
    rows: ChurnRows, customers: ChurnRows, orders: OrdersRecord, horizon: int, params: ChurnParams
) -> FittedModel:
    """Fit trees beside a model of orders; `customers` are today's, all of them."""
    model = OrderModel(orders, horizon)
    columns = order_columns(model, rows)
    seen = rows.only(TREE_FEATURES)
    held_out = cross_fit(seen, params, columns.season)
    later = latest_third(rows)
    share = _share(held_out, columns, rows, later)
    text = fit_trees(seen, held_out.trees, params, columns.season)
    raw = columns.blend(held_out.raw, share)
    today = order_columns(model, customers)
    now = today.blend(raw_scores(text, customers.only(TREE_FEATURES)), share)
    calibrator = _platt(raw, rows, later)
    if share:
        alone = _platt(columns.flat + columns.season, rows, later)
        level = float(_probabilities(alone, today.flat + today.season).mean())
        calibrator = replace(calibrator, intercept=_intercept(calibrator.slope * now, level))
    held = rows.take(later)
    repeats = fit_repeats(model, held, _probabilities(calibrator, raw[later]))
    return FittedModel(
        parts=ModelParts(text, calibrator, TREE_FEATURES),
        raw=raw,
        trees=held_out.trees,
        orders=orders.model_copy(
            update={"share": share, "repeats": repeats, "typical": float(today.flat.mean())}
        ),
    )


def _share(held_out: CrossFit, columns: OrderColumns, rows: ChurnRows, later: BoolArray) -> float:
    """Choose how much BG/NBD counts: as much as the trees, or not at all."""
    trees, both = (
        _log_loss(columns.blend(held_out.raw, share), rows, later) for share in (0.0, EQUAL)
    )
    return EQUAL if both <= trees + _TOLERATED else 0.0


def _log_loss(raw: FloatArray, rows: ChurnRows, later: BoolArray) -> float:
    score = _probabilities(_platt(raw, rows, later), raw[later])
    right = np.where(rows.label[later], score, 1.0 - score)
    return float(-np.log(np.maximum(right, np.finfo(np.float64).tiny)).mean())


def _platt(raw: FloatArray, rows: ChurnRows, later: BoolArray) -> PlattCalibrator:
    return fit_platt(raw[later], rows.label[later], np.ones(int(later.sum())))


def _probabilities(calibrator: PlattCalibrator, raw: FloatArray) -> FloatArray:
    return np.array(calibrator.probabilities(raw.tolist()))


def _intercept(log_odds: FloatArray, level: float) -> float:
    """Find what must be added to log-odds so that the mean probability is `level`."""
    low, high = -_FAR, _FAR
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean = float((1.0 / (1.0 + np.exp(-np.clip(log_odds + middle, -700, 700)))).mean())
        low, high = (middle, high) if mean < level else (low, middle)
    return (low + high) / 2

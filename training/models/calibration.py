"""Fitting the two numbers that turn raw scores into probabilities (Platt 1999)."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.calibration import PlattCalibrator

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_LOGGER: Final = logging.getLogger(__name__)
_HALVINGS: Final = 200
_FAR: Final = 1e3  # log-odds beyond any score's


def fit_platt(raw: FloatArray, label: BoolArray, weight: FloatArray) -> PlattCalibrator:
    """Fit slope and intercept by logistic regression without penalty; arrays of shape (n,).

    The slope is always positive, so that calibration never changes an order. Where the data give
    no such slope (one outcome only, one score only, outcomes that the score separates, a fitted
    slope of 0 or below) it is 1, the intercept makes the mean probability the base rate, and a
    warning is logged. Raises `NotEnoughDataError` without rows of positive weight, `ValueError`
    for scores that aren't finite.
    """
    if not np.isfinite(raw).all():
        raise ValueError("a raw score isn't finite")
    counted = weight > 0
    raw, label, weight = raw[counted], label[counted], weight[counted]
    if not len(raw):
        raise NotEnoughDataError("calibration: there are no decision points to calibrate on")
    reason = _no_slope(raw, label)
    if reason is None:
        regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
        regression.fit(raw[:, np.newaxis], label, sample_weight=weight)
        slope = float(regression.coef_[0, 0])
        if slope > 0:
            return PlattCalibrator(slope, float(regression.intercept_[0]))
        reason = f"the fitted slope is {slope:.3g}"
    _LOGGER.warning("calibration keeps slope 1 and fits the intercept alone: %s", reason)
    return PlattCalibrator(1.0, intercept_for(raw, weight, _base_rate(label, weight)))


def _no_slope(raw: FloatArray, label: BoolArray) -> str | None:
    if label.all() or not label.any():
        return "only one outcome occurs"
    if raw.min() == raw.max():
        return "all scores are equal"
    if raw[label].min() >= raw[~label].max():
        return "the score separates the outcomes"
    if raw[label].max() <= raw[~label].min():
        return "the score orders the outcomes backwards"
    return None


def _base_rate(label: BoolArray, weight: FloatArray) -> float:
    if label.any() and not label.all():
        return float(np.average(label, weights=weight))
    # One outcome only: Platt's targets, as if one case of each outcome more had been seen.
    return (int(label.sum()) + 1) / (len(label) + 2)


def intercept_for(raw: FloatArray, weight: FloatArray, rate: float) -> float:
    """Find what to add to raw scores, shape (n,), so that their mean probability is `rate`."""
    low, high = -_FAR - float(raw.max()), _FAR - float(raw.min())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        log_odds = np.clip(raw + middle, -700, 700)
        mean = float(np.average(1 / (1 + np.exp(-log_odds)), weights=weight))
        low, high = (middle, high) if mean < rate else (low, middle)
    return (low + high) / 2

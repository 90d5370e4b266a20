"""Whether probabilities mean what they say: bins, calibration error, slope, ratio of totals."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

N_BINS: Final = 15
_CLIP: Final = 1e-12  # keeps the log-odds of 0 and 1 finite
_STEPS: Final = 50
_TOLERANCE: Final = 1e-10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Cases with neighbouring scores: mean prediction, share that was positive, weight."""

    predicted: float
    observed: float
    weight: float


def reliability_bins(
    label: BoolArray, probability: FloatArray, weight: FloatArray, n_bins: int = N_BINS
) -> tuple[ReliabilityBin, ...]:
    """Cut cases into at most `n_bins` bins of about equal weight, by probability, lowest first.

    Tied probabilities stay together: all are put where the middle of their weight falls.
    """
    values, group = np.unique(probability, return_inverse=True)
    mass = np.bincount(group, weight, minlength=len(values))
    if not mass.sum() > 0:
        return ()
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    bins = np.minimum((middle * n_bins).astype(np.int64), n_bins - 1)[group]
    masses = np.bincount(bins, weight, minlength=n_bins)
    predicted = np.bincount(bins, weight * probability, minlength=n_bins)
    observed = np.bincount(bins, weight * label, minlength=n_bins)
    return tuple(
        ReliabilityBin(float(predicted[b] / m), float(observed[b] / m), float(m))
        for b, m in enumerate(masses)
        if m > 0
    )


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Expected calibration error: mean over cases of their bin's |predicted - observed|.

    Naeini, Cooper and Hauskrecht 2015, with bins of equal mass. NaN without cases. It is never
    0 on finite data, and grows as cases get fewer: compare at equal numbers only.
    """
    total = sum(b.weight for b in bins)
    if not total > 0:
        return nan
    return sum(b.weight * abs(b.predicted - b.observed) for b in bins) / total


def predicted_over_observed(label: BoolArray, probability: FloatArray, weight: FloatArray) -> float:
    """Expected number of positives over their actual number; NaN without positives."""
    observed = float(weight @ label)
    return float(weight @ probability) / observed if observed > 0 else nan


def calibration_slope(label: BoolArray, probability: FloatArray, weight: FloatArray) -> float:
    """Slope of the logistic regression of the outcome on the probability's log-odds.

    Cox 1958: 1 is right, below 1 the probabilities are too extreme. Newton's method with an
    intercept, unpenalised. NaN where no finite slope exists: one class only, one probability
    only, or classes that the probability separates.
    """
    positives = float(weight @ label)
    if not 0 < positives < float(weight.sum()):
        return nan
    clipped = np.clip(probability, _CLIP, 1 - _CLIP)
    raw = np.log(clipped) - np.log1p(-clipped)
    mean = float(np.average(raw, weights=weight))
    spread = float(np.sqrt(np.average((raw - mean) ** 2, weights=weight)))
    if spread <= _TOLERANCE * max(1.0, abs(mean)) or _separates(raw[weight > 0], label[weight > 0]):
        return nan
    return _newton((raw - mean) / spread, label, weight) / spread


def _separates(raw: FloatArray, label: BoolArray) -> bool:
    ours, others = raw[label], raw[~label]
    return bool(ours.min() >= others.max() or ours.max() <= others.min())


def _newton(x: FloatArray, label: BoolArray, weight: FloatArray) -> float:
    design = np.stack([np.ones_like(x), x])
    rate = float(weight @ label) / float(weight.sum())
    beta = np.array([np.log(rate / (1 - rate)), 0.0])
    for _ in range(_STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(beta @ design, -500, 500)))
        gradient = design @ (weight * (label - fitted))
        hessian = (design * (weight * fitted * (1 - fitted))) @ design.T
        if np.linalg.det(hessian) <= 0:
            return nan
        step = np.linalg.solve(hessian, gradient)
        # A full step can go too far where few cases are positive.
        while _loss(beta + step, design, label, weight) > _loss(beta, design, label, weight):
            step = step / 2
            if float(np.abs(step).max()) < _TOLERANCE:
                break
        beta = beta + step
        if float(np.abs(step).max()) < _TOLERANCE:
            return float(beta[1])
    return nan


def _loss(beta: FloatArray, design: FloatArray, label: BoolArray, weight: FloatArray) -> float:
    log_odds = beta @ design
    return float(weight @ (np.logaddexp(0, log_odds) - label * log_odds))

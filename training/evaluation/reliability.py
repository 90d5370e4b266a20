"""Whether probabilities mean what they say: bins, calibration error, slope, ratio of totals."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

N_BINS: Final = 15
_CLIP: Final = 1e-12  # keeps the log-odds of 0 and 1 finite
_N_GROUPS: Final = 400
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
    bins = _equal_mass(probability, weight, n_bins)
    masses = np.bincount(bins, weight, minlength=n_bins)
    predicted = np.bincount(bins, weight * probability, minlength=n_bins)
    observed = np.bincount(bins, weight * label, minlength=n_bins)
    return tuple(
        ReliabilityBin(float(predicted[b] / m), float(observed[b] / m), float(m))
        for b, m in enumerate(masses)
        if m > 0
    )


def _equal_mass(probability: FloatArray, weight: FloatArray, n_bins: int) -> IntArray:
    """Give each of n cases its bin; without any weight all are in the first."""
    values, group = np.unique(probability, return_inverse=True)
    mass = np.bincount(group, weight, minlength=len(values))
    if not mass.sum() > 0:
        return np.zeros(len(probability), np.int64)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    bins: IntArray = np.minimum((middle * n_bins).astype(np.int64), n_bins - 1)[group]
    return bins


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Expected calibration error: mean over cases of their bin's |predicted - observed|.

    Naeini, Cooper and Hauskrecht 2015, with bins of equal mass. NaN without cases. It is never
    0 on finite data, and grows as cases get fewer: compare at equal numbers only.
    """
    total = sum(b.weight for b in bins)
    if not total > 0:
        return nan
    return sum(b.weight * abs(b.predicted - b.observed) for b in bins) / total


@dataclass(frozen=True, slots=True)
class EceFloor:
    """The calibration error that perfect probabilities would read on as many cases by chance.

    `mean` over draws, and the value that 95 % of the draws stay below.
    """

    mean: float
    high: float


def ece_floor(
    probability: FloatArray, rng: np.random.Generator, draws: int = 100, n_bins: int = N_BINS
) -> EceFloor:
    """Simulate the calibration error of probabilities of shape (n,) that are exactly right.

    Outcomes are drawn from the probabilities themselves, each for itself; bins are those of
    `reliability_bins` with equal weights. NaN without cases or draws.
    """
    n = len(probability)
    if not n or not draws:
        return EceFloor(nan, nan)
    bins = _equal_mass(probability, np.ones(n), n_bins)
    predicted = np.bincount(bins, probability, minlength=n_bins)
    errors = np.empty(draws)
    for draw in range(draws):
        positive = bins[rng.random(n) < probability]
        errors[draw] = np.abs(predicted - np.bincount(positive, minlength=n_bins)).sum() / n
    return EceFloor(float(errors.mean()), float(np.quantile(errors, 0.95)))


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
    raw = _log_odds(probability)
    mean = float(np.average(raw, weights=weight))
    spread = float(np.sqrt(np.average((raw - mean) ** 2, weights=weight)))
    if spread <= _TOLERANCE * max(1.0, abs(mean)) or _separates(raw[weight > 0], label[weight > 0]):
        return nan
    return _newton((raw - mean) / spread, label, weight) / spread


@dataclass(frozen=True, slots=True)
class SlopeGroups:
    """Cases in narrow groups of log-odds, so that the slope of each of many draws costs little.

    `group` is (n,), `log_odds` (g,) the groups' means.
    """

    group: IntArray
    log_odds: FloatArray

    def slope(self, count: FloatArray, positives: FloatArray) -> float:
        """Give `calibration_slope` for weights of cases and of positives by group, (g,) each."""
        there = count > 0
        bought, left = positives[there] > 0, positives[there] < count[there]
        x = self.log_odds[there]
        if not bought.any() or not left.any() or not np.ptp(x) > 0:
            return nan
        if x[bought].min() >= x[left].max() or x[bought].max() <= x[left].min():
            return nan
        mean = float(np.average(x, weights=count[there]))
        spread = float(np.sqrt(np.average((x - mean) ** 2, weights=count[there])))
        share = positives[there] / count[there]
        return _newton((x - mean) / spread, share, count[there]) / spread


def slope_groups(probability: FloatArray) -> SlopeGroups:
    """Group n cases by log-odds, in steps of a 400th of their range."""
    raw = _log_odds(probability)
    if not len(raw):
        return SlopeGroups(np.zeros(0, np.int64), np.zeros(0))
    low, width = raw.min(), max(float(np.ptp(raw)) / _N_GROUPS, _TOLERANCE)
    _, group = np.unique(((raw - low) / width).astype(np.int64), return_inverse=True)
    return SlopeGroups(group, np.bincount(group, raw) / np.bincount(group))


def _log_odds(probability: FloatArray) -> FloatArray:
    clipped = np.clip(probability, _CLIP, 1 - _CLIP)
    raw: FloatArray = np.log(clipped) - np.log1p(-clipped)
    return raw


def _separates(raw: FloatArray, label: BoolArray) -> bool:
    ours, others = raw[label], raw[~label]
    return bool(ours.min() >= others.max() or ours.max() <= others.min())


def _newton(x: FloatArray, label: FloatArray | BoolArray, weight: FloatArray) -> float:
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


def _loss(
    beta: FloatArray, design: FloatArray, label: FloatArray | BoolArray, weight: FloatArray
) -> float:
    log_odds = beta @ design
    return float(weight @ (np.logaddexp(0, log_odds) - label * log_odds))

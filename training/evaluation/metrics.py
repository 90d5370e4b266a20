"""The metrics of one set of scores, together. Accuracy isn't one: "never" is 99 % right."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
import numpy.typing as npt

from training.evaluation.ranking import rank
from training.evaluation.reliability import (
    calibration_error,
    calibration_slope,
    predicted_over_observed,
    reliability_bins,
)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

LIFT_SHARE: Final = 0.1
_N_RATE_BINS: Final = 50


@dataclass(frozen=True, slots=True)
class MetricSet:
    """Metrics of probabilities against outcomes; NaN where the data don't define one."""

    roc_auc: float
    pr_auc: float
    log_loss: float
    ece: float
    lift_at_10: float
    predicted_over_observed: float
    calibration_slope: float


def log_loss(label: BoolArray, probability: FloatArray, weight: FloatArray | None = None) -> float:
    """Mean negative log-likelihood in nats; NaN without cases.

    Probabilities of 0 and 1 are moved inside by float64's epsilon, as scikit-learn does.
    """
    weight = _weights(label, weight)
    if not weight.sum() > 0:
        return nan
    return float(np.average(log_losses(label, probability), weights=weight))


def log_losses(label: BoolArray, probability: FloatArray) -> FloatArray:
    """Give each case's negative log-likelihood in nats, shape (n,)."""
    epsilon = np.finfo(np.float64).eps
    clipped = np.clip(probability, epsilon, 1 - epsilon)
    losses: FloatArray = -np.where(label, np.log(clipped), np.log1p(-clipped))
    return losses


def measure(
    label: BoolArray, probability: FloatArray, weight: FloatArray | None = None
) -> MetricSet:
    """Compute all metrics of n cases, shape (n,) each; equal weights unless given.

    Raises `ValueError` for shapes that differ and for probabilities outside 0..1.
    """
    weight = _weights(label, weight)
    if not label.shape == probability.shape == weight.shape:
        raise ValueError(f"shapes {label.shape}, {probability.shape}, {weight.shape} differ")
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("a probability is outside 0..1")
    ranking = rank(label, probability)
    tally = ranking.tally(weight[ranking.order])
    return MetricSet(
        roc_auc=tally.roc_auc(),
        pr_auc=tally.pr_auc(),
        log_loss=log_loss(label, probability, weight),
        ece=calibration_error(reliability_bins(label, probability, weight)),
        lift_at_10=tally.lift(LIFT_SHARE),
        predicted_over_observed=predicted_over_observed(label, probability, weight),
        calibration_slope=calibration_slope(label, probability, weight),
    )


def base_rates(label: BoolArray, events_seen: npt.NDArray[np.int64]) -> FloatArray:
    """Give each of n cases the positive rate of cases with about as many events seen.

    What a score that only counts events could say at best: rates of the judged cases themselves,
    in at most 50 bins of equal mass, equal counts together. At a fixed count it is the base rate.
    """
    counts, group = np.unique(events_seen, return_inverse=True)
    sizes = np.bincount(group, minlength=len(counts))
    middle = (np.cumsum(sizes) - sizes / 2) / max(len(label), 1)
    bins = (middle * _N_RATE_BINS).astype(np.int64)[group]
    in_bin = np.bincount(bins, minlength=_N_RATE_BINS)
    positives = np.bincount(bins, label, minlength=_N_RATE_BINS)
    return (positives / np.maximum(in_bin, 1))[bins]


def _weights(label: BoolArray, weight: FloatArray | None) -> FloatArray:
    return np.ones(label.shape) if weight is None else weight

"""Intervals by bootstrap over visitors, paired: model and baseline see the same draws."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
import numpy.typing as npt

from training.evaluation.ranking import Tally, rank

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_TAILS: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Interval:
    """Percentile interval, 95 % (Efron and Tibshirani 1993); NaN where nothing defines it."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedIntervals:
    """Intervals of the model, of the baseline and of their comparison on the same visitors.

    `replicates` counts the draws that hold both outcomes; the others define no metric.
    """

    model_pr_auc: Interval
    baseline_pr_auc: Interval
    pr_auc_ratio: Interval  # model / baseline
    roc_auc_difference: Interval  # model - baseline
    replicates: int


def paired_intervals(
    label: BoolArray,
    model: FloatArray,
    baseline: FloatArray,
    visitor: IntArray,
    replicates: int,
    rng: np.random.Generator,
) -> PairedIntervals:
    """Draw as many visitors as there are, with all their cases, `replicates` times.

    All arrays have shape (n,); `visitor` holds any integer codes. Visits of one visitor resemble
    one another, so drawing single cases would give intervals that are too narrow.
    """
    _, code = np.unique(visitor, return_inverse=True)
    n_visitors = int(code.max(initial=-1)) + 1
    rankings = [rank(label, score) for score in (model, baseline)]
    codes = [code[ranking.order] for ranking in rankings]
    figures = np.full((replicates, 4), nan)
    for replicate in range(replicates if n_visitors else 0):
        drawn = rng.integers(0, n_visitors, n_visitors)
        count = np.bincount(drawn, minlength=n_visitors)
        ours, theirs = (
            ranking.tally(count.take(own)) for ranking, own in zip(rankings, codes, strict=True)
        )
        figures[replicate] = _compare(ours, theirs)
    valid = figures[np.isfinite(figures).all(axis=1)]
    return PairedIntervals(
        model_pr_auc=_interval(valid[:, 0]),
        baseline_pr_auc=_interval(valid[:, 1]),
        pr_auc_ratio=_interval(valid[:, 2]),
        roc_auc_difference=_interval(valid[:, 3]),
        replicates=len(valid),
    )


def _compare(ours: Tally, theirs: Tally) -> tuple[float, float, float, float]:
    model, baseline = ours.pr_auc(), theirs.pr_auc()
    # Average precision is positive wherever it is defined.
    return model, baseline, model / baseline, ours.roc_auc() - theirs.roc_auc()


def _interval(values: FloatArray) -> Interval:
    if not len(values):
        return Interval(nan, nan)
    low, high = np.quantile(values, _TAILS)
    return Interval(float(low), float(high))

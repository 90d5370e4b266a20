"""Intervals by bootstrap over visitors, paired: model and baselines see the same draws."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Final

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics import log_losses
from training.evaluation.ranking import Ranking, rank
from training.evaluation.reliability import SlopeGroups, slope_groups

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

    `alone` is the score that knows the number of events alone. `replicates` counts the draws that
    hold both outcomes; the others define no metric.
    """

    model_pr_auc: Interval
    baseline_pr_auc: Interval
    pr_auc_ratio: Interval  # model / baseline
    pr_auc_over_alone: Interval  # model / alone
    model_roc_auc: Interval
    baseline_roc_auc: Interval
    roc_auc_difference: Interval  # model - baseline
    model_log_loss: Interval
    baseline_log_loss: Interval
    log_loss_difference: Interval  # model - baseline
    log_loss_over_alone: Interval  # model / alone
    predicted_over_observed: Interval
    calibration_slope: Interval
    replicates: int


def paired_intervals(
    label: BoolArray,
    model: FloatArray,
    baseline: FloatArray,
    visitor: IntArray,
    replicates: int,
    rng: np.random.Generator,
    alone: FloatArray | None = None,
) -> PairedIntervals:
    """Draw as many visitors as there are, with all their cases, `replicates` times.

    All arrays have shape (n,); `visitor` holds any integer codes; `alone` is the base rate unless
    given. Visits of one visitor resemble one another, so drawing single cases would give intervals
    that are too narrow.
    """
    _, code = np.unique(visitor, return_inverse=True)
    n_visitors = int(code.max(initial=-1)) + 1
    if alone is None:
        alone = np.full(len(label), label.mean() if len(label) else nan)
    drawn_figures = []
    if n_visitors:
        cases = _cases(label, (model, baseline, alone), code, n_visitors)
        for _ in range(replicates):
            drawn = rng.integers(0, n_visitors, n_visitors)
            drawn_figures.append(cases.figures(np.bincount(drawn, minlength=n_visitors)))
    figures = np.array(drawn_figures).reshape(len(drawn_figures), len(_NAMES))
    # The slope may be undefined where a draw separates the outcomes; the others hold all the same.
    valid = figures[np.isfinite(figures[:, : len(_NAMES) - 1]).all(axis=1)]
    bounds = {name: _interval(valid[:, place]) for place, name in enumerate(_NAMES)}
    return PairedIntervals(**bounds, replicates=len(valid))


_NAMES: Final = (
    "model_pr_auc",
    "baseline_pr_auc",
    "pr_auc_ratio",
    "pr_auc_over_alone",
    "model_roc_auc",
    "baseline_roc_auc",
    "roc_auc_difference",
    "model_log_loss",
    "baseline_log_loss",
    "log_loss_difference",
    "log_loss_over_alone",
    "predicted_over_observed",
    "calibration_slope",
)


@dataclass(frozen=True, slots=True)
class _Cases:
    """What a draw is measured on: rankings of three scores, and sums by visitor."""

    label: BoolArray  # (n,)
    code: IntArray  # (n,) the visitor
    rankings: tuple[Ranking, ...]  # of model, baseline, alone
    groups: SlopeGroups  # of the model's probabilities
    sums: FloatArray  # (6, visitors): cases, positives, predicted, and three log losses

    def figures(self, count: IntArray) -> tuple[float, ...]:
        """Measure a draw that holds each visitor `count` times, shape (visitors,)."""
        weight = count.take(self.code)
        model, baseline, alone = (one.tally(weight[one.order]) for one in self.rankings)
        cases, positives, predicted, *losses = (self.sums @ count).tolist()
        if not 0 < positives < cases:
            return (nan,) * len(_NAMES)
        ours, theirs, counting = (loss / cases for loss in losses)
        # Average precision is positive wherever it is defined, and so is the losses' sum.
        return (
            model.pr_auc(),
            baseline.pr_auc(),
            model.pr_auc() / baseline.pr_auc(),
            model.pr_auc() / alone.pr_auc(),
            model.roc_auc(),
            baseline.roc_auc(),
            model.roc_auc() - baseline.roc_auc(),
            ours,
            theirs,
            ours - theirs,
            ours / counting if counting else nan,
            predicted / positives,
            self._slope(weight),
        )

    def _slope(self, weight: IntArray) -> float:
        size, group = len(self.groups.log_odds), self.groups.group
        total = np.bincount(group, weight, minlength=size)
        bought = np.bincount(group[self.label], weight[self.label], minlength=size)
        return self.groups.slope(total.astype(np.float64), bought.astype(np.float64))


def _cases(
    label: BoolArray, scores: tuple[FloatArray, FloatArray, FloatArray], code: IntArray, n: int
) -> _Cases:
    each = (np.ones(len(label)), label, scores[0], *(log_losses(label, one) for one in scores))
    return _Cases(
        label=label,
        code=code,
        rankings=tuple(rank(label, one) for one in scores),
        groups=slope_groups(scores[0]),
        sums=np.stack([np.bincount(code, values, minlength=n) for values in each]),
    )


def _interval(values: FloatArray) -> Interval:
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(nan, nan)
    low, high = np.quantile(known, _TAILS)
    return Interval(float(low), float(high))

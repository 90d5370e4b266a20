"""How well scores put buyers first: ROC-AUC, PR-AUC and lift, weighted, with ties.

Scores are sorted once; each weighting (a bootstrap replicate) then costs one running sum over the
cases, and the rest is done at the positive ones alone, which are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ranking:
    """n cases from the highest score to the lowest, p of them positive.

    A group is all cases of one score; only the g groups that hold a positive are kept.
    """

    order: IntArray  # (n,)
    group_begin: IntArray  # (g,) first place of the group
    group_end: IntArray  # (g,) the place after its last
    positive: IntArray  # (p,) places of the positives
    positive_end: IntArray  # (g,) how many positives the groups hold up to this one

    def tally(self, weight: FloatArray | IntArray) -> Tally:
        """Sum up the weights of the cases, shape (n,), by place; counts are quicker than floats."""
        running = np.cumsum(weight)
        positive = np.cumsum(weight[self.positive])
        # A group that begins at place 0 reads the sum of all here, and has nothing above it.
        above = np.where(self.group_begin > 0, running[self.group_begin - 1], 0.0)
        return Tally(
            above=above,
            reached=running[self.group_end - 1].astype(np.float64),
            positive=positive[self.positive_end - 1].astype(np.float64),
            total=float(running[-1]) if len(running) else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """Weights by group with a positive, highest score first: g groups.

    `above` is the weight of the cases before the group, `reached` with it, `positive` that of the
    positives up to and with it, `total` that of all cases.
    """

    above: FloatArray  # (g,)
    reached: FloatArray  # (g,)
    positive: FloatArray  # (g,)
    total: float

    def roc_auc(self) -> float:
        """Probability that a positive outranks a negative, a tie counting one half.

        Mann and Whitney 1947. NaN unless both classes have weight.
        """
        positives = self._positives()
        negatives = self.total - positives
        if not positives or not negatives > 0:
            return nan
        gained = np.diff(self.positive, prepend=0.0)
        below = negatives - (self.reached - self.positive)
        tied = self.reached - self.above - gained
        return float((gained * (below + tied / 2)).sum()) / (positives * negatives)

    def pr_auc(self) -> float:
        """Average precision: the sum over distinct scores of (R_i - R_(i-1)) P_i.

        R and P are recall and precision of the cases at or above score i; this is the definition
        of scikit-learn's `average_precision_score`, without interpolation. A constant score gives
        the base rate. NaN without positives.
        """
        positives = self._positives()
        if not positives:
            return nan
        precision = np.zeros_like(self.reached)
        np.divide(self.positive, self.reached, out=precision, where=self.reached > 0)
        return float((precision * np.diff(self.positive, prepend=0.0)).sum()) / positives

    def captured(self, shares: FloatArray) -> FloatArray:
        """Share of the positives among the given shares of cases with the highest scores.

        A cut through tied scores takes its part of their positives, the mean over all orders of
        the tied cases. NaN without positives.
        """
        positives = self._positives()
        if not positives:
            return np.full(len(shares), nan)
        before = np.concatenate([[0.0], self.positive[:-1]])
        cases = np.stack([self.above, self.reached], axis=1).ravel()
        found = np.stack([before, self.positive], axis=1).ravel()
        captured: FloatArray = np.interp(shares * self.total, cases, found) / positives
        return captured

    def lift(self, share: float) -> float:
        """Positive rate among the highest-scored share of cases, over that of all cases."""
        return float(self.captured(np.array([share]))[0]) / share

    def _positives(self) -> float:
        return float(self.positive[-1]) if len(self.positive) else 0.0


def rank(label: BoolArray, score: FloatArray) -> Ranking:
    """Sort n cases by score; `label` and `score` have shape (n,)."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    begins = np.concatenate([[0], changes]).astype(np.int64)
    ends = np.concatenate([changes, [len(ordered)]]).astype(np.int64)
    positive = np.flatnonzero(label[order])
    group = np.searchsorted(begins, positive, side="right") - 1
    held, counts = np.unique(group, return_counts=True)
    return Ranking(order, begins[held], ends[held], positive, np.cumsum(counts))

"""How much one column says of an outcome, judged on visitors that the scores were not fitted on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from training.evaluation.ranking import rank

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_BINS: Final = 48
_PRIOR: Final = 2.0  # cases of the average that each rate starts with
_TAIL: Final = 1e-3  # of the binomial bounds; the limits leave room for many values
_MIN_CASES: Final = 15
_MIN_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Purity:
    """The value, or range of values, whose cases buy most surely: `low` bounds the share."""

    low: float = 0.0
    share: float = 0.0
    cases: int = 0
    value: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """n cases of one column: its v distinct values, NaN as one and the last, and who has which."""

    values: FloatArray  # (v,)
    group: IntArray  # (n,)
    counts: IntArray  # (v,)

    @property
    def constant(self) -> bool:
        """Tell whether there is nothing to tell cases apart by."""
        return len(self.values) < 2

    def bins(self) -> IntArray:
        """Give each case its bin by rank, 0 for missing; equal values share one."""
        known = np.isfinite(self.values)
        counts = np.where(known, self.counts, 0)
        middle = (np.cumsum(counts) - counts / 2) / max(counts.sum(), 1)
        code = np.where(known, 1 + (middle * _BINS).astype(np.int64), 0)
        return code[self.group]


def column_of(values: npt.NDArray[np.floating]) -> Column:
    """Find a column's distinct values; infinities count as missing."""
    values = np.where(np.isfinite(values), values, np.nan)
    distinct, group, counts = np.unique(
        values, return_inverse=True, return_counts=True, equal_nan=True
    )
    return Column(distinct.astype(np.float64), group.astype(np.int64), counts.astype(np.int64))


def roc_auc(label: BoolArray, score: FloatArray) -> float:
    """Give the area under the ROC curve of n cases; NaN unless both outcomes occur."""
    return rank(label, score).tally(np.ones(len(label), np.int64)).roc_auc()


def auc_error(auc: float, buyers: int, others: int) -> float:
    """Give the standard error of an area under the ROC curve (Hanley and McNeil 1982)."""
    if not buyers or not others:
        return float("nan")
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (buyers - 1) * (q1 - auc**2) + (others - 1) * (q2 - auc**2)
    return float(np.sqrt(max(variance, 0.0) / (buyers * others)))


def share_bound(hits: FloatArray | IntArray, cases: IntArray, tail: float = _TAIL) -> FloatArray:
    """Give one-sided lower bounds of shares (Clopper and Pearson 1934), (n,); 0 for few cases."""
    bound = np.zeros(len(cases))
    worth = (cases >= _MIN_CASES) & (hits >= _MIN_SHARE * cases)
    bound[worth] = stats.beta.ppf(tail, hits[worth], cases[worth] - hits[worth] + 1)
    return bound


def half_of(visitor: IntArray) -> BoolArray:
    """Part the visitors into halves, the same ones each time."""
    mixed = visitor.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed >> np.uint64(63)).astype(np.bool_)


def cross_rates(codes: IntArray, label: BoolArray, half: BoolArray) -> FloatArray:
    """Give each case the rate of its code among the other half's visitors, (n,)."""
    score = np.zeros(len(codes))
    size = int(codes.max(initial=0)) + 1
    for side in (False, True):
        fitted, judged = half != side, half == side
        base = float(label[fitted].mean()) if fitted.any() else 0.0
        n = np.bincount(codes[fitted], minlength=size)
        hits = np.bincount(codes[fitted], label[fitted], minlength=size)
        score[judged] = ((hits + _PRIOR * base) / (n + _PRIOR))[codes[judged]]
    return score


def column_auc(column: Column, label: BoolArray, visitor: IntArray) -> float:
    """Give the best area that a column alone reaches: by bins of rank, or by its exact values.

    Rates are those of other visitors: of the other half for bins, of all others for exact values.
    The latter finds codes, and encodings that leave out the row itself.
    """
    if column.constant:
        return 0.5
    auc = roc_auc(label, cross_rates(column.bins(), label, half_of(visitor)))
    if len(column.values) < len(label) // 3:
        auc = max(auc, roc_auc(label, _others_rates(column, label, visitor)))
    return auc


def _others_rates(column: Column, label: BoolArray, visitor: IntArray) -> FloatArray:
    group = column.group
    own = group * (int(visitor.max(initial=0)) + 1) + visitor
    pair = np.unique(own, return_inverse=True)[1]
    n, hits = column.counts[group], np.bincount(group, label)[group]
    own_n, own_hits = np.bincount(pair)[pair], np.bincount(pair, label)[pair]
    base = float(label.mean())
    rates: FloatArray = (hits - own_hits + _PRIOR * base) / (n - own_n + _PRIOR)
    return rates


def purest(column: Column, label: BoolArray) -> Purity:
    """Find the value, the tail of values, or the missingness whose cases buy most surely."""
    values, n = column.values, column.counts
    if column.constant:
        return Purity()
    hits = np.bincount(column.group, label).astype(np.float64)
    known = np.isfinite(values)
    found = [_best(n, hits, lambda i: f"= {values[i]:g}" if known[i] else "missing")]
    counts, bought, numbers = n[known], hits[known], values[known]
    if not known.all():
        some = np.array([counts.sum()])
        found.append(_best(some, np.array([bought.sum()]), lambda _: "present"))
    found.append(_best(np.cumsum(counts), np.cumsum(bought), lambda i: f"<= {numbers[i]:g}"))
    above = np.cumsum(counts[::-1]), np.cumsum(bought[::-1])
    found.append(_best(*above, lambda i: f">= {numbers[::-1][i]:g}"))
    return max(found, key=lambda purity: purity.low)


def _best(n: IntArray, hits: FloatArray, name: Callable[[int], str]) -> Purity:
    if not len(n):
        return Purity()
    low = share_bound(hits, n)
    place = int(np.argmax(low))
    return Purity(float(low[place]), float(hits[place] / n[place]), int(n[place]), name(place))

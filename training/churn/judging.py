"""Judging churn at later cuts: model and baselines on the same rows, by cut and pooled.

Intervals are by bootstrap over customers, who stand in several cuts: each draw takes as many
customers as there are, with all their rows, and all scores are judged on the same draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from math import isfinite, nan
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.scoring.manifest import ChurnTarget
from training.churn.coming import Coming, ComingFigures, judge_coming
from training.churn.groups import GroupFigures, judge_groups
from training.churn.rows import ChurnRows
from training.churn.target import Target
from training.evaluation.bootstrap import Interval
from training.evaluation.metrics import MetricSet, measure
from training.evaluation.ranking import rank
from training.evaluation.reliability import ReliabilityBin, reliability_bins

FloatArray = npt.NDArray[np.float64]

MODEL: Final = "model"
_TAILS: Final = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class CutFigures:
    """What came of the customers of one cut, and each score's metrics by name."""

    cut: str
    n: int
    churned: int
    metrics: dict[str, MetricSet]


@dataclass(frozen=True, slots=True)
class ScoreFigures:
    """One score over all cuts.

    `roc_auc_by_cut` is the mean over cuts of the cut's own ROC-AUC. The differences are the
    model's figure minus this score's, on the same draws of customers.
    """

    name: str
    pooled: MetricSet
    roc_auc_by_cut: float
    roc_auc: Interval
    roc_auc_difference: Interval
    roc_auc_by_cut_difference: Interval
    pr_auc_difference: Interval
    log_loss_difference: Interval
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class ChurnEvaluation:
    """All that was measured; the first score is the model's.

    Of churn of orders alone: `groups` by whether a customer came again, `coming` orders and their
    value, `time_to_next_order`, the curve of the training data.
    """

    target: ChurnTarget
    horizon_days: int
    n: int
    customers: int
    churned: int
    bootstrap: int
    cuts: tuple[CutFigures, ...]
    scores: tuple[ScoreFigures, ...]
    groups: tuple[GroupFigures, ...]
    coming: tuple[ComingFigures, ...]
    time_to_next_order: dict[str, list[float]] | None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; what isn't defined is None."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def judge(
    rows: ChurnRows,
    scores: Mapping[str, FloatArray],
    target: Target,
    *,
    bootstrap: int,
    seed: int,
    time_to_next_order: dict[str, list[float]] | None = None,
    coming: Coming | None = None,
) -> ChurnEvaluation:
    """Measure probabilities of churn, shape (n,) each; `scores` must hold `MODEL`."""
    names = [MODEL, *(name for name in scores if name != MODEL)]
    draws = _draw(rows, {name: scores[name] for name in names}, bootstrap, seed)
    return ChurnEvaluation(
        target=target.kind,
        horizon_days=target.horizon_days,
        n=len(rows),
        customers=len(np.unique(rows.visitor)),
        churned=int(rows.label.sum()),
        bootstrap=bootstrap,
        cuts=tuple(_cut(rows, scores, names, cut) for cut in np.unique(rows.cut).tolist()),
        scores=tuple(_score(rows, scores[name], name, draws) for name in names),
        groups=judge_groups(rows, scores) if target.kind == "purchase" else (),
        coming=judge_coming(rows, coming, target.horizon_days) if coming else (),
        time_to_next_order=time_to_next_order,
    )


def _cut(
    rows: ChurnRows, scores: Mapping[str, FloatArray], names: list[str], cut: int
) -> CutFigures:
    here = rows.cut == cut
    label = rows.label[here]
    return CutFigures(
        cut=date.fromordinal(cut).isoformat(),
        n=len(label),
        churned=int(label.sum()),
        metrics={name: measure(label, scores[name][here]) for name in names},
    )


def _score(
    rows: ChurnRows, score: FloatArray, name: str, draws: dict[str, FloatArray]
) -> ScoreFigures:
    by_cut = [_roc_auc(rows, score, cut) for cut in np.unique(rows.cut).tolist()]
    own, model = draws[name], draws[MODEL]
    difference = model - own
    return ScoreFigures(
        name=name,
        pooled=measure(rows.label, score),
        roc_auc_by_cut=float(np.mean(by_cut)) if by_cut else nan,
        roc_auc=_interval(own[:, 0]),
        roc_auc_by_cut_difference=_interval(difference[:, 1]),
        roc_auc_difference=_interval(difference[:, 0]),
        pr_auc_difference=_interval(difference[:, 2]),
        log_loss_difference=_interval(difference[:, 3]),
        reliability=reliability_bins(rows.label, score, np.ones(len(rows))),
    )


def _roc_auc(rows: ChurnRows, score: FloatArray, cut: int) -> float:
    here = rows.cut == cut
    ranking = rank(rows.label[here], score[here])
    return ranking.tally(np.ones(int(here.sum()))[ranking.order]).roc_auc()


def _draw(
    rows: ChurnRows, scores: Mapping[str, FloatArray], replicates: int, seed: int
) -> dict[str, FloatArray]:
    """Give each score's figures on each draw: ROC-AUC, by cut, PR-AUC, log loss; (draws, 4)."""
    random = np.random.default_rng(seed)
    _, code = np.unique(rows.visitor, return_inverse=True)
    customers = int(code.max(initial=-1)) + 1
    places = [np.flatnonzero(rows.cut == cut) for cut in np.unique(rows.cut)]
    judges = {name: _Judge(rows, score, places) for name, score in scores.items()}
    figures = {name: np.full((replicates, 4), nan) for name in scores}
    for replicate in range(replicates if customers else 0):
        drawn = random.integers(0, customers, customers)
        count = np.bincount(drawn, minlength=customers)[code]
        for name, one in judges.items():
            figures[name][replicate] = one.figures(count)
    return figures


class _Judge:
    """One score, ranked once: over all rows and within each cut."""

    def __init__(
        self, rows: ChurnRows, score: FloatArray, places: list[npt.NDArray[np.intp]]
    ) -> None:
        self._all = rank(rows.label, score)
        self._cuts = [(here, rank(rows.label[here], score[here])) for here in places]
        epsilon = np.finfo(np.float64).eps
        right = np.where(rows.label, score, 1.0 - score)
        self._loss = -np.log(np.clip(right, epsilon, 1.0))

    def figures(self, count: npt.NDArray[np.int64]) -> tuple[float, float, float, float]:
        pooled = self._all.tally(count[self._all.order])
        by_cut = [
            ranking.tally(count[here][ranking.order]).roc_auc() for here, ranking in self._cuts
        ]
        loss = float(np.average(self._loss, weights=count))
        return pooled.roc_auc(), float(np.mean(by_cut)), pooled.pr_auc(), loss


def _interval(values: FloatArray) -> Interval:
    known = values[np.isfinite(values)]
    if not len(known):
        return Interval(nan, nan)
    low, high = np.quantile(known, _TAILS)
    return Interval(float(low), float(high))


def _plain(value: Any) -> Any:  # noqa: ANN401 - walks any nesting that `asdict` gives
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value

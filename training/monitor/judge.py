"""Are live scores as good as the bundle said of itself? Figures, their limits, and the verdict.

A figure is judged where both sides have enough orders. It has dropped when it is further from the
bundle's own than chance explains: the bundle's figures, too, were measured on so many orders. The
limits are those of all judged figures together (Bonferroni), so that a shop in which nothing has
changed raises an alarm at most in `ALARM_RATE` of looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import exp, isfinite, log, sqrt
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics import MetricSet, log_losses, measure
from training.evaluation.ranking import rank
from training.models.weights import at_counts

ALARM_RATE: Final = 0.01
LEAST_BUYERS: Final = 20  # on either side
_REPLICATES: Final = 200

PR_AUC: Final = "pr_auc"
LOG_LOSS: Final = "log_loss"
CALIBRATION: Final = "calibration_ratio"

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Points:
    """Settled scores, shape (n,) each; `visit` and `visitor` are codes."""

    events_seen: IntArray
    visit: IntArray
    visitor: IntArray
    probability: FloatArray
    label: BoolArray

    def take(self, rows: BoolArray | IntArray) -> Points:
        """Keep some of them."""
        fields = (self.events_seen, self.visit, self.visitor, self.probability, self.label)
        return Points(*(field[rows] for field in fields))  # type: ignore[arg-type] # in order


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """What the bundle measured of itself at one number of events seen."""

    n: int
    buyers: int
    pr_auc: float
    log_loss: float
    calibration_ratio: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One live figure beside the bundle's own; outside `low` to `high` it has dropped."""

    name: str
    live: float
    own: float
    low: float
    high: float

    @property
    def dropped(self) -> bool:
        """Tell whether chance doesn't explain the difference."""
        return not self.low <= self.live <= self.high


@dataclass(frozen=True, slots=True)
class LiveRow:
    """Live figures at one number of events seen; `judged` is empty where orders are too few."""

    k: int
    n: int
    buyers: int
    live: MetricSet
    own: OwnFigures
    judged: tuple[Judged, ...] = ()


def own_figures(metrics: Mapping[str, Any]) -> dict[int, OwnFigures]:
    """Read a bundle's figures by number of events seen from its metrics; none where it has none."""
    found = {}
    for k, values in metrics.get("calibration_days", {}).items():
        model = values["model"]
        figures = (model["pr_auc"], model["log_loss"], model["predicted_over_observed"])
        if all(figure is not None for figure in figures):
            found[int(k)] = OwnFigures(values["n"], values["buyers"], *figures)
    return found


def live_rows(
    points: Points,
    own: Mapping[int, OwnFigures],
    *,
    judge: bool = True,
    alarm_rate: float = ALARM_RATE,
) -> tuple[LiveRow, ...]:
    """Compare settled scores at the numbers of events seen that the bundle has figures of."""
    at_k = {k: points.take(at_counts(points.events_seen, points.visit, [k])) for k in sorted(own)}
    judged = [k for k, some in at_k.items() if judge and _is_enough(some, own[k])]
    # Three figures for each; what has dropped lies on one side of two of them, on either of one.
    chance = alarm_rate / max(4 * len(judged), 1)
    z = NormalDist().inv_cdf(1 - chance)
    rows = []
    for k, some in at_k.items():
        if not len(some.label):
            continue
        figures = tuple(_judge(some, own[k], z)) if k in judged else ()
        live = measure(some.label, some.probability)
        rows.append(LiveRow(k, len(some.label), int(some.label.sum()), live, own[k], figures))
    return tuple(rows)


def _is_enough(points: Points, own: OwnFigures) -> bool:
    expected = float(points.probability.sum())
    return min(float(points.label.sum()), expected, own.buyers) >= LEAST_BUYERS


def _judge(points: Points, own: OwnFigures, z: float) -> Iterator[Judged]:
    label, probability = points.label, points.probability
    buyers = int(label.sum())
    live = measure(label, probability)
    # Of its logarithm: an area that is low by chance has a low error, too.
    error = _pr_auc_error(points) / live.pr_auc * sqrt(1 + buyers / own.buyers)
    yield Judged(PR_AUC, live.pr_auc, own.pr_auc, own.pr_auc * exp(-z * error), 1.0)
    losses = log_losses(label, probability)
    error = float(losses.std()) * sqrt(1 / len(losses) + 1 / own.n)
    yield Judged(LOG_LOSS, live.log_loss, own.log_loss, 0.0, own.log_loss + z * error)
    ratio = live.predicted_over_observed
    error = sqrt(1 / buyers + 1 / own.buyers)
    middle = log(own.calibration_ratio)
    low, high = exp(middle - z * error), exp(middle + z * error)
    yield Judged(CALIBRATION, ratio, own.calibration_ratio, low, high)


def _pr_auc_error(points: Points) -> float:
    """Give the standard error by bootstrap over visitors."""
    _, code = np.unique(points.visitor, return_inverse=True)
    visitors = int(code.max(initial=-1)) + 1
    ranking = rank(points.label, points.probability)
    random = np.random.default_rng(1)
    drawn = []
    for _ in range(_REPLICATES):
        count = np.bincount(random.integers(0, visitors, visitors), minlength=visitors)
        drawn.append(ranking.tally(count[code][ranking.order]).pr_auc())
    known = [one for one in drawn if isfinite(one)]
    return float(np.std(known)) if known else 0.0

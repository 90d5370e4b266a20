"""Judging a model beside its baseline, at fixed numbers of events seen and over all points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite, nan
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.evaluation.bootstrap import PairedIntervals, paired_intervals
from training.evaluation.metrics import MetricSet, base_rates, measure
from training.evaluation.ranking import Tally, rank
from training.evaluation.reliability import (
    EceFloor,
    ReliabilityBin,
    ece_floor,
    reliability_bins,
)
from training.evaluation.scored import DecisionPoints, Frame, read_scored_events
from training.evaluation.segments import SegmentRow

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

DEFAULT_KS: Final = (1, 2, 3, 5, 10, 20, 40)
# Shares of the decision points at which the gain curve is drawn, dense where actions are taken.
GAIN_SHARES: Final = (
    *(i / 1000 for i in (1, 2, 3, 4, 5, 6, 8)),
    *(i / 100 for i in (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9)),
    *(i / 40 for i in range(4, 20)),
    *(i / 20 for i in range(10, 21)),
)
_CURVE_POINTS: Final = 150  # of a precision-recall curve, at most
_FLOOR_SEED: Final = 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scores:
    """One set of scores at one number of events seen: metrics and the curves to draw.

    `captured` is the share of buyers among each of `GAIN_SHARES` with the highest scores, and
    `thresholds` the least score in it. `curve` holds points of recall and precision.
    """

    metrics: MetricSet
    reliability: tuple[ReliabilityBin, ...]
    captured: tuple[float, ...]
    thresholds: tuple[float, ...]
    curve: tuple[tuple[float, float], ...]
    ece_floor: EceFloor


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """Sessions' decision points after k events; k is None for all points with equal weight.

    `base_rate_metrics` are those of a score that knows the number of events seen alone.
    """

    k: int | None
    n: int
    buyers: int
    visitors: int
    base_rate: float
    left_converted: int
    left_after_order: int
    model: Scores
    baseline: Scores
    base_rate_metrics: MetricSet
    intervals: PairedIntervals

    @property
    def name(self) -> str:
        """How tables and plots call the row."""
        return "all" if self.k is None else str(self.k)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was measured on one set of scored events; times are ISO 8601, UTC."""

    events: int
    sessions: int
    visitors: int
    first_event: str | None
    last_event: str | None
    bootstrap: int
    seed: int
    rows: tuple[EvaluationRow, ...]  # by k, then all points
    segments: tuple[SegmentRow, ...] = ()

    def at(self, k: int | None) -> EvaluationRow | None:
        """Give the row of a number of events, None for all points, if there is one."""
        return next((row for row in self.rows if row.k == k), None)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; what isn't defined is None."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain | {"gain_shares": list(GAIN_SHARES)}


def evaluate(
    frame: Frame, ks: Sequence[int] = DEFAULT_KS, bootstrap: int = 500, seed: int = 0
) -> Evaluation:
    """Measure scored events (`scored.COLUMNS`) at each k and over all decision points.

    `bootstrap` is the number of draws behind the intervals, 0 for none. All rows see the same draws
    of `seed`, as far as they have the same visitors. Metrics without cases to define them are NaN.
    """
    events = read_scored_events(frame)
    points: list[tuple[int | None, DecisionPoints]] = [(k, events.at(k)) for k in ks]
    points.append((None, events.all_points()))
    times = events.event_time
    return Evaluation(
        events=len(events.row),
        sessions=events.n_sessions,
        visitors=len(np.unique(events.visitor)),
        first_event=_iso(int(times.min())) if len(times) else None,
        last_event=_iso(int(times.max())) if len(times) else None,
        bootstrap=bootstrap,
        seed=seed,
        rows=tuple(_judge(k, at_k, bootstrap, np.random.default_rng(seed)) for k, at_k in points),
    )


def _judge(
    k: int | None, points: DecisionPoints, bootstrap: int, rng: np.random.Generator
) -> EvaluationRow:
    label = points.label
    alone = _rates(k, points)
    return EvaluationRow(
        k=k,
        n=len(label),
        buyers=int(label.sum()),
        visitors=len(np.unique(points.visitor)),
        base_rate=float(label.mean()) if len(label) else nan,
        left_converted=points.left_converted,
        left_after_order=points.left_after_order,
        model=_scores(label, points.conversion, k),
        baseline=_scores(label, points.baseline, k),
        base_rate_metrics=measure(label, alone),
        intervals=paired_intervals(
            label, points.conversion, points.baseline, points.visitor, bootstrap, rng, alone
        ),
    )


def _rates(k: int | None, points: DecisionPoints) -> FloatArray:
    if k is None:
        return base_rates(points.label, points.events_seen)
    return base_rates(points.label, np.full(len(points.label), k))


def _scores(label: BoolArray, probability: FloatArray, k: int | None) -> Scores:
    weight = np.ones(len(label))
    ranking = rank(label, probability)
    tally = ranking.tally(weight)
    captured = tally.captured(np.array(GAIN_SHARES))
    return Scores(
        metrics=measure(label, probability),
        reliability=reliability_bins(label, probability, weight),
        captured=tuple(captured.tolist()),
        thresholds=_thresholds(probability[ranking.order]),
        curve=_curve(tally),
        ece_floor=ece_floor(probability, np.random.default_rng([_FLOOR_SEED, k or 0])),
    )


def _thresholds(falling: FloatArray) -> tuple[float, ...]:
    if not len(falling):
        return (nan,) * len(GAIN_SHARES)
    at = np.ceil(np.array(GAIN_SHARES) * len(falling)).astype(np.int64) - 1
    return tuple(falling[np.maximum(at, 0)].tolist())


def _curve(tally: Tally) -> tuple[tuple[float, float], ...]:
    n = len(tally.positive)
    if not n:
        return ()
    # Dense at the left, where few cases are chosen.
    at = np.unique(np.geomspace(1, n, _CURVE_POINTS).astype(np.int64)) - 1
    recall = tally.positive[at] / tally.positive[-1]
    precision = tally.positive[at] / tally.reached[at]
    return tuple(zip(recall.tolist(), precision.tolist(), strict=True))


def _iso(microseconds: int) -> str:
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()


def _without_nan(value: Any) -> Any:  # noqa: ANN401 - walks any nesting that `asdict` gives
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value

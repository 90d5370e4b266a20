"""Candidate and serving bundle on the same later days, compared on the same draws of visitors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from math import isfinite, isnan, log, nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pandas as pd

from micromoment.errors import BundleError, NotEnoughDataError
from micromoment.events.identity import IdEncoder
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.manifest import Manifest, read_manifest
from training.evaluation import Evaluation, EvaluationRow, evaluate
from training.evaluation.bootstrap import Interval
from training.event_files import EventDays, event_days
from training.pipeline.features import (
    WARM_UP_DAYS,
    UserHistory,
    build_history,
    temporary_workspace,
)
from training.pipeline.score import replay_settings, score_days
from training.progress import Steps
from training.promotion.checks import Check, checked, not_judged
from training.promotion.shape import is_recalibrated

# Below a PR-AUC of this share of serving's a bundle is refused, however wide the interval.
LEAST_SHARE: Final = 0.75
CALIBRATED: Final = (0.8, 1.25)
# Level and slope are looked at in up to sixteen places: an interval so many times as wide as one of
# 95 % holds in all of them together about as often (Bonferroni: 2.96 / 1.96 standard errors).
_WIDER: Final = 1.5
# So much further from 1 than serving's a ratio may be, in logarithms, on the same visits.
_TOLERANCE: Final = 0.1
MIN_BUYERS: Final = 20
BOOTSTRAP: Final = 500
_SEED: Final = 1
_FITTED: Final = ("last_day", "tables_until")
_ALL: Final = (*_FITTED, "calibrated_until")


@dataclass(frozen=True)
class LaterDays:
    """The events to judge on: of days `first` to `last`, None where the bundles say themselves.

    Fewer than `min_buyers` visits with an order at a number of events seen say nothing there.
    """

    events: Path
    first: date | None = None
    last: date | None = None
    min_buyers: int = MIN_BUYERS
    bootstrap: int = BOOTSTRAP
    ids: IdEncoder | None = None
    workers: int = 2

    def days(self) -> EventDays:
        """Give the folder's days up to the last one, users' earlier days included."""
        return event_days(self.events).between(last=self.last)


def last_known(candidate: LoadedBundle, serving: LoadedBundle | None) -> date:
    """Give the last day that would flatter one of them; the first of all where neither says one.

    For the candidate that is any day it knows an outcome of. The serving bundle's calibration may
    know later ones, as it is carried on each night: `served_as_of` finds the one of that day.
    """
    known = _days_of(candidate.manifest, _ALL)
    known += _days_of(serving.manifest, _FITTED) if serving is not None else []
    return max(known, default=date.min)


def _days_of(manifest: Manifest, names: tuple[str, ...]) -> list[date]:
    # A bundle that no shop's days were trained on says none.
    return [
        date.fromisoformat(manifest.training[name]) for name in names if name in manifest.training
    ]


def served_as_of(serving: LoadedBundle, day: date) -> LoadedBundle:
    """Find the serving bundle as it was calibrated at the end of a day, among the store's versions.

    The one that its models were trained as is there at least, unless it was deleted: then the
    serving bundle itself is given, whose knowledge makes it the harder one to beat.
    """
    root = _root(serving.manifest)
    found: tuple[date, LoadedBundle] | None = None
    for folder in sorted(serving.path.parent.iterdir()):
        try:
            manifest = read_manifest(folder)
            if _root(manifest) != root or not (known := _days_of(manifest, _ALL)):
                continue
            if max(known) <= day and (found is None or max(known) > found[0]):
                bundle = load_bundle(folder)
                found = (max(known), bundle) if is_recalibrated(bundle, serving) else found
        except BundleError:
            continue
    return serving if found is None else found[1]


def _root(manifest: Manifest) -> str:
    return str(manifest.training.get("revision_of", manifest.version))


def judge_later(
    candidate: LoadedBundle, serving: LoadedBundle | None, later: LaterDays, steps: Steps
) -> list[Check]:
    """Compare order and calibration at each number of events seen.

    Raises `NotEnoughDataError` when no day is left that neither was fitted on, or `later.first`
    is one that was.
    """
    known = last_known(candidate, serving)
    first = later.first or known + timedelta(days=1)
    if first <= known:
        raise NotEnoughDataError(
            f"{first} is no later day: outcomes until {known} are known to one of the bundles"
        )
    days = later.days()
    wanted = days.between(first=first)
    if not wanted.files:
        raise NotEnoughDataError(f"{later.events} holds no day after {known}, which is known")
    before = serving and served_as_of(serving, wanted.days[0] - timedelta(days=1))
    evaluation = _evaluate(candidate, before, days, wanted.days[0], later, steps)
    span = f"{wanted.days[0]} to {wanted.days[-1]}"
    return judge_evaluation(evaluation, span, later.min_buyers, compared=serving is not None)


def judge_evaluation(
    evaluation: Evaluation, span: str, min_buyers: int, *, compared: bool
) -> list[Check]:
    """Judge a candidate's figures, with the serving bundle's as the baseline where `compared`.

    `span` says which days they are of.
    """
    checks = [_span(evaluation, span, min_buyers, compared=compared)]
    for row in evaluation.rows:
        checks += _judge_row(row, min_buyers, compared=compared)
    return checks


def _span(evaluation: Evaluation, span: str, min_buyers: int, *, compared: bool) -> Check:
    first = evaluation.rows[0]
    finding = f"{span}: {evaluation.sessions:,} visits, {first.buyers:,} with an order"
    if first.buyers >= min_buyers:
        return checked("later days", passed=True, finding=finding, buyers=first.buyers)
    finding += f", fewer than {min_buyers}: they say nothing"
    # With nothing to lose there is nothing to compare with.
    if not compared:
        return not_judged("later days", finding)
    return checked("later days", passed=False, finding=finding, buyers=first.buyers)


def _evaluate(
    candidate: LoadedBundle,
    serving: LoadedBundle | None,
    days: EventDays,
    first: date,
    later: LaterDays,
    steps: Steps,
) -> Evaluation:
    with TemporaryDirectory() as temporary:
        with steps.step("Cut user snapshots and register features"):
            history = _history(candidate, days, first, later, Path(temporary))
        frame = _scores(candidate, days, first, later, history, steps)
        if serving is not None:
            other = _scores(serving, days, first, later, history, steps)
            if not frame["event_id"].equals(other["event_id"]):
                raise ValueError("two bundles of one shop gave other rows for the same events")
            frame["baseline"] = other["conversion"]
    begins = frame.groupby("session_id")["source_seq"].transform("min")
    with steps.step("Compare on the same draws of visitors"):
        return evaluate(frame[begins == 1], bootstrap=later.bootstrap, seed=_SEED)


def _scores(
    bundle: LoadedBundle,
    days: EventDays,
    first: date,
    later: LaterDays,
    history: UserHistory,
    steps: Steps,
) -> pd.DataFrame:
    ids = days.encoder(later.ids)
    table = score_days(
        bundle, days, first, history=history, ids=ids, workers=later.workers, steps=steps
    )
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _history(
    bundle: LoadedBundle, days: EventDays, first: date, later: LaterDays, folder: Path
) -> UserHistory:
    lag = timedelta(seconds=bundle.manifest.publish_lag_s)
    # The first replayed visits may begin before their day's own cut is published.
    first_cut = max(days.days[0], first - timedelta(days=WARM_UP_DAYS + 1 + lag.days))
    settings = replay_settings(bundle, days.encoder(later.ids), later.workers)
    workspace = temporary_workspace(folder)
    return build_history(days, workspace, settings, lag, days.days[-1], first_cut=first_cut)


def _judge_row(row: EvaluationRow, min_buyers: int, *, compared: bool) -> list[Check]:
    where = "at all events" if row.k is None else f"after {row.k} event{'s' if row.k > 1 else ''}"
    order, calibration = f"PR-AUC {where}", f"calibration {where}"
    if row.buyers < min_buyers or not isfinite(row.model.metrics.pr_auc):
        finding = f"{row.buyers} visits with an order, fewer than {min_buyers}"
        if row.k is None:
            finding = f"{row.buyers} points before an order, fewer than {min_buyers}"
        names = (order, calibration) if compared else (calibration,)
        return [not_judged(name, finding) for name in names]
    found = _judge_calibration(calibration, row, compared=compared)
    return [_judge_order(order, row), found] if compared else [found]


def _judge_order(name: str, row: EvaluationRow) -> Check:
    ours, theirs = row.model.metrics.pr_auc, row.baseline.metrics.pr_auc
    share, bounds = ours / theirs, row.intervals.pr_auc_ratio
    finding = f"{ours:.3f}, serving {theirs:.3f}: {_with_interval(share, bounds)} of it"
    # Where no draw defines the interval, the share alone is left.
    lower = bounds.high < 1 if isfinite(bounds.high) else share < 1
    return checked(
        name,
        not lower and share >= LEAST_SHARE,
        finding,
        pr_auc=ours,
        serving_pr_auc=theirs,
        ratio=share,
        ratio_low=bounds.low,
        ratio_high=bounds.high,
    )


def _judge_calibration(name: str, row: EvaluationRow, *, compared: bool) -> Check:
    ours, theirs, bounds = row.model.metrics, row.baseline.metrics, row.intervals
    level, slope = ours.predicted_over_observed, ours.calibration_slope
    served = (theirs.predicted_over_observed, theirs.calibration_slope) if compared else (nan, nan)
    passed = _holds(level, bounds.predicted_over_observed, served[0]) and _holds(
        slope, bounds.calibration_slope, served[1]
    )
    finding = (
        f"predicted/observed {_with_interval(level, bounds.predicted_over_observed)}, "
        f"slope {_with_interval(slope, bounds.calibration_slope)}"
    )
    if compared:
        finding += f"; serving {served[0]:.2f}, {served[1]:.2f}"
    return checked(name, passed, finding, predicted_over_observed=level, slope=slope)


def _holds(value: float, bounds: Interval, served: float) -> bool:
    """Whether a ratio that should be 1 is near it, may be 1, or is hardly worse than serving's.

    Where nothing serves (NaN), the data must show that it is not near: there is nothing better. A
    slope that the data don't define says nothing.
    """
    if not isfinite(value):
        return True
    low = value - _WIDER * (value - bounds.low)
    high = value + _WIDER * (bounds.high - value)
    if CALIBRATED[0] <= value <= CALIBRATED[1] or low <= 1 <= high:
        return True
    if isnan(served):
        return low <= CALIBRATED[1] and high >= CALIBRATED[0]
    if value <= 0 or served <= 0:
        return False
    return abs(log(value)) <= abs(log(served)) + _TOLERANCE


def _with_interval(value: float, bounds: Interval) -> str:
    if not np.isfinite(bounds.low):
        return f"{value:.2f}"
    return f"{value:.2f} [{bounds.low:.2f}, {bounds.high:.2f}]"

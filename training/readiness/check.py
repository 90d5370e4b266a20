"""Measure what training would find: the same counts, by the same functions and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from micromoment.errors import NotEnoughDataError
from micromoment.events.shop import Shop
from micromoment.features.catalogue import SESSION_FEATURES
from micromoment.features.tables import neutral_tables
from training.churn.cuts import training_cuts
from training.churn.fit import MAX_ROWS, MIN_VISITORS, visitors_by_outcome
from training.churn.gaps import OrderGaps, order_gaps
from training.churn.rows import CustomerHistory, churn_rows
from training.churn.season import MIN_DAYS as SEASON_DAYS
from training.churn.target import (
    ACTIVITY_DAYS,
    HORIZONS_NEEDED,
    MIN_REPEATERS,
    Target,
    choose_target,
)
from training.event_files import EventDays, event_days
from training.models.rows import DecisionRows
from training.pipeline.blocks import MIN_DAYS, forward_blocks
from training.pipeline.features import build_history, temporary_workspace
from training.pipeline.plain_rows import plain_rows
from training.pipeline.splits import split_rows
from training.progress import Steps
from training.readiness.needs import (
    Need,
    Readiness,
    buying,
    days_of_blocks,
    growing,
    spanning,
)
from training.replay.partition import count_rows
from training.replay.run import ReplaySettings
from training.segments.clusters import MIN_VISITS
from training.segments.fit import shows_something
from training.snapshots.cuts import cut_at
from training.tables.order_gaps import MIN_GAPS, collect_purchases

CHURN_OF: Final = {"purchase": "churn of purchases", "activity": "churn of activity"}


@dataclass(frozen=True)
class ReadinessRequest:
    """Whose events, up to which day, included; the rest as `train` would be told."""

    events: Path
    until: date | None = None
    shop: Shop = field(default_factory=Shop)
    publish_lag: timedelta = timedelta(hours=1)
    workers: int = 2


def check_readiness(request: ReadinessRequest, steps: Steps | None = None) -> Readiness:
    """Count what each model needs. Raises `NotEnoughDataError` without any day until `until`."""
    steps = steps or Steps()
    days = event_days(request.events).between(last=request.until)
    if not days.files:
        raise NotEnoughDataError(f"{request.events} holds no events until {request.until}")
    settings = ReplaySettings(request.shop, workers=request.workers)
    span = (days.days[-1] - days.days[0]).days + 1
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        with steps.step("Replay events", count_rows(days)) as advance:
            plain = plain_rows(days, scratch, settings, advance)
        gaps = _order_gaps(days, plain.parts, settings)
        with steps.step("Look at customers at midnights"):
            churn = _churn_needs(request, days, gaps, span, settings, scratch)
    needs = (
        *conversion_needs(plain.rows, days.days),
        *churn,
        cluster_need(plain.rows, span),
        *_feature_needs(span),
        growing(
            "order rhythm",
            "gaps between a customer's order days",
            MIN_GAPS,
            int(gaps.came.sum()),
            span,
            "features that compare with it are missing",
        ),
    )
    return Readiness(days.days[0], days.days[-1], count_rows(days), needs)


def conversion_needs(rows: DecisionRows, days: list[date]) -> tuple[Need, ...]:
    """State what `fit_visits` asks for of the last block of days."""
    enough_days = days_of_blocks(days)
    if len(days) < MIN_DAYS:
        return (enough_days,)
    fit, later = split_rows(rows, forward_blocks(days)[-1])
    return (enough_days, *buying((fit.buyers, later.buyers), days))


def cluster_need(rows: DecisionRows, span: int) -> Need:
    """State the visits that clusters are made of; that they are stable only training can tell."""
    visits = len(np.unique(rows.session[shows_something(rows)]))
    return growing("clusters", "visits that show a page, product or list", MIN_VISITS, visits, span)


def _order_gaps(days: EventDays, parts: list[Path], settings: ReplaySettings) -> OrderGaps:
    end = cut_at(days.days[-1] + timedelta(days=1), settings.shop)
    return order_gaps(collect_purchases(parts, settings), end.time_us)


def _churn_needs(
    request: ReadinessRequest,
    days: EventDays,
    gaps: OrderGaps,
    span: int,
    settings: ReplaySettings,
    scratch: Path,
) -> list[Need]:
    orders, activity = CHURN_OF["purchase"], CHURN_OF["activity"]
    needs = [
        growing(orders, "customers with two order days", MIN_REPEATERS, gaps.repeaters, span),
        spanning(
            orders,
            f"days, {HORIZONS_NEEDED} horizons of {gaps.horizon_days}",
            max(1, HORIZONS_NEEDED * gaps.horizon_days),
            span,
        ),
        spanning(
            "season of orders", "days", SEASON_DAYS, span, "all weeks of the year count alike"
        ),
        spanning(activity, "days", HORIZONS_NEEDED * ACTIVITY_DAYS, span),
    ]
    chosen = choose_target(gaps, span).target
    if chosen is not None:
        counts = _outcomes(request, days, chosen, settings, scratch)
        needs += [
            growing(CHURN_OF[chosen.kind], f"visitors who {what}", MIN_VISITORS, count, span)
            for what, count in counts.items()
        ]
    return needs


def _outcomes(
    request: ReadinessRequest,
    days: EventDays,
    target: Target,
    settings: ReplaySettings,
    scratch: Path,
) -> dict[str, int]:
    workspace = temporary_workspace(scratch / "features")
    end = days.days[-1] + timedelta(days=1)
    build_history(days, workspace, settings, request.publish_lag, end)
    history = CustomerHistory(workspace, request.shop, request.publish_lag, neutral_tables())
    plan = training_cuts(target, days.days[0], end)
    return visitors_by_outcome(churn_rows(history, plan, MAX_ROWS))


def _feature_needs(span: int) -> list[Need]:
    """State the days below which some features are not learned from."""
    asked = sorted({spec.min_days for spec in SESSION_FEATURES if spec.min_days > 0})
    return [
        spanning(
            ", ".join(spec.name for spec in SESSION_FEATURES if spec.min_days == days),
            "days",
            days,
            span,
            "models do without",
        )
        for days in asked
    ]

"""Learn all that a bundle says: conversion, churn, segments, or why one of them is absent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from micromoment.errors import NotEnoughDataError
from micromoment.features.catalogue import learnable_features
from micromoment.features.tables import Tables
from micromoment.scoring.manifest import LifecycleRecord
from training.churn.fit import FittedChurn, fit_churn
from training.churn.gaps import order_gaps
from training.churn.rows import CustomerHistory
from training.event_files import EventDays
from training.feature_store import FeatureWorkspace
from training.lint import LintReport
from training.models.rows import DecisionRows
from training.pipeline.blocks import Block
from training.pipeline.fit import FittedVisits, fit_visits
from training.pipeline.lint import lint_decisions, lint_fitted, lint_source, require_clean
from training.pipeline.rows import VisitorSample, load_rows
from training.progress import Steps
from training.replay.run import ReplayReport
from training.segments import FittedSegments, SegmentPlan, fit_segments
from training.snapshots.cuts import cut_at
from training.tables.order_gaps import collect_purchases

if TYPE_CHECKING:
    from training.pipeline.train import TrainRequest


@dataclass(frozen=True)
class Material:
    """What there is to learn from: the replayed days, and the users' history in the workspace."""

    request: TrainRequest
    days: EventDays
    blocks: tuple[Block, ...]
    parts: list[Path]
    replayed: ReplayReport
    workspace: FeatureWorkspace
    tables: Tables

    @property
    def span_days(self) -> int:
        """The number of days from the first to the last, both included."""
        return (self.days.days[-1] - self.days.days[0]).days + 1

    @property
    def sample(self) -> VisitorSample | None:
        """The visitors that models learn from; None where all fit into memory."""
        share = self.request.max_decision_points / max(self.replayed.decisions, 1)
        return VisitorSample(share) if share < 1 else None

    @property
    def end_us(self) -> int:
        """The end of the last day, microseconds since 1970."""
        end = self.days.days[-1] + timedelta(days=1)
        return cut_at(end, self.request.replay.shop).time_us


@dataclass(frozen=True)
class Learned:
    """What was learned; `absent` says why a model is missing."""

    visits: FittedVisits | None
    churn: FittedChurn | None
    segments: FittedSegments
    absent: dict[str, str]
    leaks: LintReport
    acknowledged: tuple[str, ...]
    share_of_visitors: float = 1.0

    @property
    def lifecycle(self) -> LifecycleRecord:
        """Give the days that lifecycles go by.

        Away is who the churn model would say has left, where it speaks of orders.
        """
        if self.churn is None or self.churn.parts.target != "purchase":
            return LifecycleRecord()
        return LifecycleRecord(away_days=self.churn.parts.horizon_days)

    @property
    def metrics(self) -> dict[str, Any]:
        """Give what the models reached on the days that they were calibrated on."""
        metrics = dict(self.visits.metrics) if self.visits else {}
        return metrics | ({"churn": self.churn.metrics} if self.churn else {})

    @property
    def record(self) -> dict[str, Any]:
        """Give what the models were trained on."""
        record = dict(self.segments.record) | {"leaks": self.leaks.to_dict(self.acknowledged)}
        if self.visits is not None:
            record["decision_points"] = self.visits.rows
            record["share_of_visitors"] = self.share_of_visitors
            record["visits_with_order"] = self.visits.buyers
            record["trees"] = self.visits.growth.trees
            record["learning_rate"] = self.visits.growth.learning_rate
        if self.churn is not None:
            record["churn"] = self.churn.record
        return record


def learn(material: Material, plan: SegmentPlan, steps: Steps) -> Learned:
    """Fit whatever the data allow.

    Raises `NotEnoughDataError` with both reasons when neither conversion nor churn can be learned,
    and `LeakError` when the linter finds what nobody acknowledged.
    """
    acknowledged = material.request.acknowledged
    absent: dict[str, str] = {}
    with steps.step("Join features of decision points"):
        rows = _decision_rows(material, absent)
    with steps.step("Look for leaks in events, features and tables"):
        leaks = _look_for_leaks(material, rows)
        require_clean(leaks, acknowledged)
    with steps.step("Fit conversion model, baseline and calibrator"):
        visits = _fit_visits(material, rows, absent)
    with steps.step("Fit churn model, baselines and calibrator"):
        churn = _fit_churn(material, absent)
    if visits is None and churn is None:
        raise NotEnoughDataError(f"conversion: {absent['conversion']}; churn: {absent['churn']}")
    leaks = leaks.joined(lint_fitted(visits, churn))
    require_clean(leaks, acknowledged)
    with steps.step("Find clusters, learn the limits of audiences"):
        segments = fit_segments(rows, material.replayed.outputs, plan)
        if segments.absent is not None:
            absent["clusters"] = segments.absent
    share = material.sample.share if material.sample else 1.0
    return Learned(visits, churn, segments, absent, leaks, acknowledged, share)


def _look_for_leaks(material: Material, rows: DecisionRows | None) -> LintReport:
    request = material.request
    if not request.lint:
        return LintReport("nothing", skipped={"all": "looked at before"})
    source = lint_source(material.days, material.parts, request.replay, request.publish_lag)
    known = None if rows is None else learnable(rows, material.span_days)
    return source.joined(lint_decisions(known, material.blocks[-1], request.params))


def learnable(rows: DecisionRows, span_days: int) -> DecisionRows:
    """Keep the features that a model may learn from so many days."""
    known = learnable_features(span_days)
    return rows.only(tuple(name for name in rows.feature_names if name in known))


def _decision_rows(material: Material, absent: dict[str, str]) -> DecisionRows | None:
    replayed = material.replayed
    if not replayed.decisions:
        absent["conversion"] = (
            f"none of the {replayed.events:,} events precedes the first order of its visit"
        )
        return None
    # A visit that was alive this shortly before the data ends may still convert: its outcome is
    # not known.
    censored_from = material.end_us - material.request.replay.expiry_us
    return load_rows(
        material.workspace,
        replayed.outputs,
        censored_from=censored_from,
        sample=material.sample,
        cluster=material.request.cluster,
    )


def _fit_visits(
    material: Material, rows: DecisionRows | None, absent: dict[str, str]
) -> FittedVisits | None:
    if rows is None:
        return None
    try:
        return fit_visits(
            learnable(rows, material.span_days),
            material.blocks,
            material.request.params,
            material.request.cluster,
        )
    except NotEnoughDataError as error:
        absent["conversion"] = str(error)
        return None


def _fit_churn(material: Material, absent: dict[str, str]) -> FittedChurn | None:
    request, days = material.request, material.days
    gaps = order_gaps(collect_purchases(material.parts, request.replay), material.end_us)
    customers = CustomerHistory(
        material.workspace, request.replay.shop, request.publish_lag, material.tables
    )
    end = days.days[-1] + timedelta(days=1)
    try:
        return fit_churn(customers, gaps, days.days[0], end, request.churn)
    except NotEnoughDataError as error:
        absent["churn"] = str(error)
        return None

"""Train: from a folder of events to a bundle in the store and fresh user features."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from micromoment.errors import InvalidSettingError, NotEnoughDataError
from micromoment.events.identity import IdEncoder
from micromoment.events.shop import Shop
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.tables import Tables, served_tables
from micromoment.scoring.manifest import NAME_PATTERN, LifecycleRecord
from micromoment.stores.bundles import default_bundle_store
from training.churn.fit import FittedChurn, fit_churn
from training.churn.gaps import OrderGaps, order_gaps
from training.churn.model import ChurnParams
from training.churn.rows import CustomerHistory
from training.event_files import EventDays, event_days
from training.feature_store import FeatureWorkspace, apply, materialize
from training.models.conversion import ConversionParams
from training.outputs import make_folder
from training.pipeline.blocks import Blocks, split_days
from training.pipeline.features import UserHistory, build_history
from training.pipeline.fit import FittedVisits, fit_visits
from training.pipeline.golden import pick_golden
from training.pipeline.rows import load_rows
from training.progress import Steps
from training.publishing.bundle import BundleParts
from training.publishing.store import publish
from training.replay.partition import count_rows, partition_events
from training.replay.run import ReplayReport, ReplaySettings, replay_parts
from training.snapshots.cuts import cut_at
from training.tables.fit import fit_tables
from training.tables.order_gaps import collect_purchases

_LIBRARIES = ("lightgbm", "numpy", "scikit-learn")


@dataclass(frozen=True)
class TrainRequest:
    """What to train on and where the results go. `until` is the last day, included."""

    events: Path
    workspace: Path
    until: date | None = None
    name: str = "shop"
    store: Path | None = None
    shop: Shop = field(default_factory=Shop)
    session_expiry_s: int = 1_800
    max_clock_skew_s: int = 300
    publish_lag: timedelta = timedelta(hours=1)
    params: ConversionParams = field(default_factory=ConversionParams)
    churn: ChurnParams = field(default_factory=ChurnParams)
    ids: IdEncoder | None = None
    workers: int = 2

    @property
    def replay(self) -> ReplaySettings:
        """How events are folded."""
        return ReplaySettings(
            self.shop, self.session_expiry_s, self.max_clock_skew_s, self.ids, self.workers
        )


@dataclass(frozen=True)
class TrainReport:
    """What came of a training run."""

    tag: str
    days: int
    replay: ReplayReport
    decision_points: int
    buyers: int
    metrics: dict[str, Any]
    absent: dict[str, str]  # why the bundle lacks a model


def train(request: TrainRequest, steps: Steps | None = None) -> TrainReport:
    """Train a bundle, publish it and materialize the users' features for serving.

    Raises `NotEnoughDataError` when there is too little to learn from, `InvalidDataError` when a
    file can't be read or a folder can't be written, `InvalidSettingError` when the name can't be
    one. Nothing of that waits for the long work.
    """
    steps = steps or Steps()
    if re.match(NAME_PATTERN, request.name) is None:
        raise InvalidSettingError("name", "must be 1 to 63 of a-z, 0-9, '_', '.' and '-'")
    days = _days_until(request.events, request.until)
    blocks = split_days(days.days)
    workspace = FeatureWorkspace(request.workspace)
    for folder in (workspace.root, request.store or default_bundle_store()):
        make_folder(folder)
    with TemporaryDirectory() as temporary:
        return _train(request, days, blocks, workspace, Path(temporary), steps)


def _days_until(events: Path, until: date | None) -> EventDays:
    days = event_days(events)
    if until is not None and until < days.days[0]:
        raise NotEnoughDataError(f"{events} holds no events until {until}: its first day is later")
    return days.between(last=until)


def _train(
    request: TrainRequest,
    days: EventDays,
    blocks: Blocks,
    workspace: FeatureWorkspace,
    scratch: Path,
    steps: Steps,
) -> TrainReport:
    settings = request.replay
    next_day = days.days[-1] + timedelta(days=1)
    with steps.step("Cut user snapshots and register features"):
        history = build_history(days, workspace, settings, request.publish_lag, next_day)
        apply(workspace)
    with steps.step("Group events by session", count_rows(days)) as advance:
        parts = partition_events(days, scratch / "parts", advance=advance)
    with steps.step("Fit tables: transitions, pages, sources, products"):
        tables = fit_tables(parts, settings)
    with steps.step("Replay events", count_rows(days)) as advance:
        report = replay_parts(
            parts,
            scratch / "decisions",
            settings,
            history.rows_at,
            tables,
            only_eligible=True,
            cross_fit=True,
            advance=advance,
        )
    absent = {"clusters": "not trained"}
    with steps.step("Fit conversion model, baseline and calibrator"):
        visits = _fit_visits(request, days, blocks, workspace, report, absent)
    with steps.step("Fit churn model, baselines and calibrator"):
        gaps = order_gaps(collect_purchases(parts, settings), _end_us(settings, days))
        customers = CustomerHistory(workspace, settings.shop, request.publish_lag, tables)
        churn = _fit_churn(request, customers, gaps, days, absent)
    if visits is None and churn is None:
        raise NotEnoughDataError(f"conversion: {absent['conversion']}; churn: {absent['churn']}")
    with steps.step("Publish the bundle"):
        models = visits, churn
        bundle = _parts(request, days, blocks, history, models, served_tables(tables), absent)
        manifest = publish(bundle, request.store)
    with steps.step("Materialize user features for serving"):
        materialize(workspace, _publish_time(settings, next_day, request.publish_lag))
    return TrainReport(
        tag=manifest.tag,
        days=len(days.days),
        replay=report,
        decision_points=visits.rows if visits else 0,
        buyers=visits.buyers if visits else 0,
        metrics=_metrics(visits, churn),
        absent=absent,
    )


def _fit_visits(
    request: TrainRequest,
    days: EventDays,
    blocks: Blocks,
    workspace: FeatureWorkspace,
    report: ReplayReport,
    absent: dict[str, str],
) -> FittedVisits | None:
    try:
        if not report.decisions:
            raise NotEnoughDataError(
                f"none of the {report.events:,} events precedes the first order of its visit"
            )
        # A visit that was alive this shortly before the data ends may still convert: its outcome
        # is not known.
        censored_from = _end_us(request.replay, days) - request.replay.expiry_us
        rows = load_rows(workspace, report.outputs, censored_from=censored_from)
        return fit_visits(rows, blocks, request.params)
    except NotEnoughDataError as error:
        absent["conversion"] = str(error)
        return None


def _fit_churn(
    request: TrainRequest,
    customers: CustomerHistory,
    gaps: OrderGaps,
    days: EventDays,
    absent: dict[str, str],
) -> FittedChurn | None:
    end = days.days[-1] + timedelta(days=1)
    try:
        return fit_churn(customers, gaps, days.days[0], end, request.churn)
    except NotEnoughDataError as error:
        absent["churn"] = str(error)
        return None


def _metrics(visits: FittedVisits | None, churn: FittedChurn | None) -> dict[str, Any]:
    metrics = dict(visits.metrics) if visits else {}
    return metrics | ({"churn": churn.metrics} if churn else {})


def _end_us(settings: ReplaySettings, days: EventDays) -> int:
    """Give the end of the last day, microseconds since 1970."""
    return cut_at(days.days[-1] + timedelta(days=1), settings.shop).time_us


def _publish_time(settings: ReplaySettings, day: date, lag: timedelta) -> datetime:
    return datetime.combine(day, time(), settings.shop.zone).astimezone(UTC) + lag


def _parts(
    request: TrainRequest,
    days: EventDays,
    blocks: Blocks,
    history: UserHistory,
    models: tuple[FittedVisits | None, FittedChurn | None],
    tables: Tables,
    absent: dict[str, str],
) -> BundleParts:
    visits, churn = models
    golden_events, golden_users = pick_golden(days, history.rows_at, request.ids)
    return BundleParts(
        name=request.name,
        settings=request.replay,
        publish_lag_s=int(request.publish_lag.total_seconds()),
        feature_names=FEATURE_NAMES,
        tables=tables,
        conversion=visits.parts if visits else None,
        churn=churn.parts if churn else None,
        clusters=None,
        audiences=None,
        lifecycle=_lifecycle(churn),
        absent=absent,
        metrics=_metrics(visits, churn),
        training=_training_record(request, days, blocks, visits)
        | ({"churn": churn.record} if churn else {}),
        golden_events=golden_events,
        golden_users=golden_users,
    )


def _lifecycle(churn: FittedChurn | None) -> LifecycleRecord:
    # Away is who the churn model would say has left, where it speaks of orders.
    if churn is None or churn.parts.target != "purchase":
        return LifecycleRecord()
    return LifecycleRecord(away_days=churn.parts.horizon_days)


def _training_record(
    request: TrainRequest, days: EventDays, blocks: Blocks, visits: FittedVisits | None
) -> dict[str, Any]:
    record = {
        "events_fingerprint": days.fingerprint(),
        "first_day": days.days[0].isoformat(),
        "last_day": days.days[-1].isoformat(),
        "calibration_days": [day.isoformat() for day in blocks.calibration],
        "params": asdict(request.params),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "pyarrow": pa.__version__,
    }
    if visits is not None:
        record |= {
            "decision_points": visits.rows,
            "visits_with_order": visits.buyers,
            "trees": visits.trees,
        }
    return record

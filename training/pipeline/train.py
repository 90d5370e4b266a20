"""Train: from a folder of events to a bundle in the store and fresh user features."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
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
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.manifest import NAME_PATTERN
from micromoment.stores.bundles import LATEST, default_bundle_store
from micromoment.stores.signing_keys import SigningKey
from micromoment.workspace_erasing import TRAINING_SCRATCH_PREFIX
from training.churn.model import ChurnParams
from training.cluster import DaskCluster
from training.event_files import EventDays, event_days
from training.feature_store import FeatureWorkspace, apply, materialize
from training.lint import LintReport
from training.models.conversion import ConversionParams
from training.outputs import make_folder
from training.pipeline.blocks import Block, forward_blocks
from training.pipeline.features import UserHistory, build_history
from training.pipeline.golden import pick_golden
from training.pipeline.learn import Learned, Material, learn
from training.pipeline.portraits import portray_training
from training.privacy.erase import apply_erasures, erasures_seen
from training.progress import Steps
from training.publishing.bundle import BundleParts, write_bundle
from training.publishing.store import publish
from training.replay.partition import count_rows, partition_events
from training.replay.run import ReplayReport, ReplaySettings, replay_parts
from training.segments import SegmentPlan, plan_segments
from training.tables.fit import fit_tables

_LIBRARIES = ("lightgbm", "numpy", "scikit-learn")


@dataclass(frozen=True)
class TrainRequest:
    """What to train on and where the results go. `until` is the last day, included.

    `audiences` is a YAML file with the shop's own audiences; None takes the default ones.
    `acknowledged` are checks of the leak linter whose errors do not stop the run. Without `lint` it
    looks at models alone: for trainings one after another on the same data, after the first.
    Clusters take their ids over from the bundle that the store's pointer `takes_over` names.
    With more than `max_decision_points`, models learn from a sample of the visitors: fitting takes
    about 2.5 KB of memory for each point. `cluster` does the replay, the joins and the trees.
    `sign_key` signs the bundle before anybody sees it.
    """

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
    audiences: Path | None = None
    ids: IdEncoder | None = None
    workers: int = 2
    acknowledged: tuple[str, ...] = ()
    lint: bool = True
    takes_over: str = LATEST
    max_decision_points: int = 1_500_000
    cluster: DaskCluster | None = None
    sign_key: SigningKey | None = None

    @property
    def replay(self) -> ReplaySettings:
        """How events are folded."""
        workers = self.workers if self.cluster is None else self.cluster
        return ReplaySettings(
            self.shop, self.session_expiry_s, self.max_clock_skew_s, self.ids, workers
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
    leaks: LintReport
    share_of_visitors: float  # that models of visits learned from


def train(request: TrainRequest, steps: Steps | None = None) -> TrainReport:
    """Train a bundle, publish it and materialize the users' features for serving.

    Raises `NotEnoughDataError` when there is too little to learn from, `InvalidDataError` when a
    file can't be read or a folder can't be written, `InvalidSettingError` when the name can't be
    one. Nothing of that waits for the long work. Raises `LeakError`, and publishes nothing, when
    something tells the outcome that must not.
    """
    steps = steps or Steps()
    if re.match(NAME_PATTERN, request.name) is None:
        raise InvalidSettingError("name", "must be 1 to 63 of a-z, 0-9, '_', '.' and '-'")
    # What a server erased must not come back from events that were imported before.
    apply_erasures(request.workspace, request.events, request.ids)
    days = _days_until(request.events, request.until)
    request = replace(request, ids=days.encoder(request.ids))
    blocks = forward_blocks(days.days)
    workspace = FeatureWorkspace(request.workspace)
    store = request.store or default_bundle_store()
    plan = plan_segments(request.audiences, store, request.name, request.takes_over)
    for folder in (workspace.root, store):
        make_folder(folder)
    if request.cluster is not None:
        request.cluster.check(workspace.root)
    # A cluster's workers see the workspace, and not this machine's own temporary files.
    with TemporaryDirectory(
        dir=None if request.cluster is None else workspace.root, prefix=TRAINING_SCRATCH_PREFIX
    ) as temporary:
        return _train(request, days, blocks, plan, workspace, Path(temporary), steps)


def _days_until(events: Path, until: date | None) -> EventDays:
    days = event_days(events)
    if until is not None and until < days.days[0]:
        raise NotEnoughDataError(f"{events} holds no events until {until}: its first day is later")
    return days.between(last=until)


def _train(
    request: TrainRequest,
    days: EventDays,
    blocks: tuple[Block, ...],
    plan: SegmentPlan,
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
            to_keep=True,  # they become the workspace's
            advance=advance,
        )
    material = Material(request, days, blocks, parts, report, workspace, tables)
    learned = learn(material, plan, steps)
    bundle = _parts(request, days, blocks, history, learned, served_tables(tables))
    with steps.step("Portray clusters and audiences"):
        draft = scratch / "draft"
        write_bundle(draft, bundle)
        portraits = portray_training(load_bundle(draft), report.outputs)
    with steps.step("Publish the bundle"):
        manifest = publish(replace(bundle, portraits=portraits), request.store, request.sign_key)
    with steps.step("Materialize user features for serving"):
        materialize(workspace, _publish_time(settings, next_day, request.publish_lag))
    return TrainReport(
        tag=manifest.tag,
        days=len(days.days),
        replay=report,
        decision_points=learned.visits.rows if learned.visits else 0,
        buyers=learned.visits.buyers if learned.visits else 0,
        metrics=learned.metrics,
        absent=learned.absent,
        leaks=learned.leaks,
        share_of_visitors=learned.share_of_visitors,
    )


def _publish_time(settings: ReplaySettings, day: date, lag: timedelta) -> datetime:
    return datetime.combine(day, time(), settings.shop.zone).astimezone(UTC) + lag


def _parts(
    request: TrainRequest,
    days: EventDays,
    blocks: tuple[Block, ...],
    history: UserHistory,
    learned: Learned,
    tables: Tables,
) -> BundleParts:
    golden_events, golden_users = pick_golden(days, history.rows_at, request.ids)
    return BundleParts(
        name=request.name,
        settings=request.replay,
        publish_lag_s=int(request.publish_lag.total_seconds()),
        feature_names=FEATURE_NAMES,
        tables=tables,
        conversion=learned.visits.parts if learned.visits else None,
        churn=learned.churn.parts if learned.churn else None,
        clusters=learned.segments.clusters,
        audiences=learned.segments.audiences,
        lifecycle=learned.lifecycle,
        absent=learned.absent,
        metrics=learned.metrics,
        training=_training_record(request, days, blocks) | learned.record,
        golden_events=golden_events,
        golden_users=golden_users,
        histograms=learned.visits.histograms if learned.visits else None,
    )


def _training_record(
    request: TrainRequest, days: EventDays, blocks: tuple[Block, ...]
) -> dict[str, Any]:
    return {
        "events_fingerprint": days.fingerprint(),
        "erasures": erasures_seen(request.events),
        "first_day": days.days[0].isoformat(),
        "last_day": days.days[-1].isoformat(),
        "calibration_days": [day.isoformat() for block in blocks for day in block.later],
        "params": asdict(request.params),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "pyarrow": pa.__version__,
    }

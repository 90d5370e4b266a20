"""The offline side: the day from Parquet through Arrow, a score after every event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.errors import BundleError
from micromoment.events.identity import IdEncoder
from micromoment.events.record import RecordArray
from micromoment.events.vocabulary import JourneyStage
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.clusters import Clusters
from micromoment.scoring.outcome import Outcome, PointStates, outcomes_of
from micromoment.scoring.segments import audiences_of, cluster_of
from micromoment.scoring.settling import Assignment, settle
from training.event_files import event_days
from training.feature_store import FeatureWorkspace, user_rows_at
from training.pipeline.score import replay_settings
from training.replay.partition import partition_events
from training.replay.run import load_users, look_up_users, replay_grouped
from training.replay.sessions import group_by_session


@dataclass(frozen=True)
class OfflineJob:
    """What the offline process needs: paths and the day, nothing of the online side.

    `sabotage` names an event, by session and event id, whose first feature is changed by one bit;
    with `move_centroid` the first cluster lies elsewhere. `ids` encodes plain ids.
    """

    bundle: Path
    events: Path
    workspace: Path
    day: date
    sabotage: tuple[str, str] | None
    move_centroid: bool = False
    ids: IdEncoder | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What both sides say after an event; `features` are float32 bytes, NaN made canonical."""

    conversion: float | None
    abandonment: float | None
    churn: float | None
    expected_orders: float | None
    expected_value_micros: int | None
    converted: bool
    segment: str
    cluster: str
    audiences: tuple[str, ...]
    lifecycle: str
    journey_stage: str
    events_seen: int
    features: bytes


@dataclass(frozen=True, slots=True)
class Point:
    """A decision point by itself: an answer without segments, and what they follow from.

    Where the visit belongs depends on the points that were asked about, so on the requests.
    """

    answer: Answer
    epoch: int
    outcome: Outcome


Place = tuple[str, str]  # session and event id
Answers = dict[Place, Answer]
Points = dict[Place, Point]


def settled_answers(bundle: LoadedBundle, points: Points, asked: Iterable[Place]) -> Answers:
    """Give the answers at the places that were asked about, each session's in order.

    A place without a point has no answer.
    """
    answers: Answers = {}
    kept: dict[str, tuple[int, Assignment]] = {}
    for place in asked:
        point = points.get(place)
        if point is None:
            continue
        epoch, assignment = kept.get(place[0], (point.epoch, Assignment()))
        if epoch != point.epoch:
            assignment = Assignment()
        assignment = settle(
            assignment,
            point.outcome.cluster,
            point.outcome.audiences,
            converted=point.answer.converted,
        )
        kept[place[0]] = point.epoch, assignment
        cluster = cluster_of(bundle, assignment.cluster, point.outcome.cluster)
        audiences = tuple(one.id for one in audiences_of(bundle, assignment.audiences))
        cluster_id = cluster.id if cluster else ""
        answers[place] = replace(
            point.answer,
            cluster=cluster_id,
            audiences=audiences,
            segment=audiences[0] if audiences else cluster_id,
        )
    return answers


def score_offline(job: OfflineJob) -> Points:
    """Score every event of the day's own visits: those with no event on the day before."""
    bundle = load_bundle(job.bundle)
    if job.move_centroid:
        bundle = _with_moved_centroid(bundle)
    settings = replay_settings(bundle, job.ids, workers=1)
    days = event_days(job.events).between(job.day - timedelta(days=1), job.day)
    workspace = FeatureWorkspace(job.workspace)
    points: Points = {}
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        parts = partition_events(days, scratch / "parts", wanted_from=job.day)
        users = look_up_users(
            parts, scratch / "users", settings, lambda table: user_rows_at(workspace, table)
        )
        for part, user in zip(parts, users, strict=True):
            grouped = group_by_session(pq.read_table(part), settings.shop, settings.ids)
            described = np.ones(len(grouped.batch), dtype=np.bool_)
            moments, features = replay_grouped(
                grouped, load_users(user), settings, bundle.tables, described, cross_fit=False
            )
            rows = bundle.model_input(features).copy()
            earlier = _begun_earlier(grouped.table["wanted"].to_numpy(), grouped.session_of)
            chosen = np.flatnonzero(~earlier & (moments["outcome"] > 0))
            if job.sabotage is not None:
                _flip_one_bit(rows, grouped.table, job.sabotage)
            points |= _points(bundle, grouped.table, chosen, moments, rows)
    return points


def canonical_bytes(row: npt.NDArray[np.float32]) -> bytes:
    """Give a row's bits with every NaN the same: how NaN is written tells nothing."""
    return np.where(np.isnan(row), np.float32(np.nan), row).astype(np.float32).tobytes()


def _begun_earlier(
    wanted: npt.NDArray[np.bool_], session_of: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    early = np.zeros(int(session_of.max(initial=-1)) + 1, dtype=np.bool_)
    early[session_of[~wanted]] = True
    return early[session_of]


def _flip_one_bit(rows: npt.NDArray[np.float32], table: pa.Table, event: tuple[str, str]) -> None:
    for row, place in enumerate(
        zip(table["session_id"].to_pylist(), table["event_id"].to_pylist(), strict=True)
    ):
        if place == event:
            rows[row, 0] = np.nextafter(rows[row, 0], np.float32(np.inf))


def _with_moved_centroid(bundle: LoadedBundle) -> LoadedBundle:
    """Move the first cluster by one deviation in each dimension. Raises `BundleError` without."""
    if bundle.clusters is None:
        raise BundleError(bundle.tag, "has no clusters, so that none can be moved")
    file = bundle.clusters.file
    first, *others = file.clusters
    moved = first.model_copy(update={"centroid": tuple(x + 1.0 for x in first.centroid)})
    file = file.model_copy(update={"clusters": (moved, *others)})
    return replace(bundle, clusters=Clusters(file, bundle.feature_names))


def _points(
    bundle: LoadedBundle,
    table: pa.Table,
    chosen: npt.NDArray[np.int64],
    moments: RecordArray,
    rows: npt.NDArray[np.float32],
) -> Points:
    sessions = table["session_id"].to_pylist()
    event_ids = table["event_id"].to_pylist()
    at = moments[chosen]
    states = PointStates(at["events_seen"], at["converted"] > 0, at["cart"] > 0, at["stage"])
    outcomes = outcomes_of(bundle, rows[chosen], states)
    points = {}
    for index, outcome in zip(chosen.tolist(), outcomes, strict=True):
        moment = moments[index]
        answer = Answer(
            conversion=outcome.conversion,
            abandonment=outcome.abandonment,
            churn=outcome.churn,
            expected_orders=outcome.coming.orders if outcome.coming else None,
            expected_value_micros=outcome.coming.value_micros if outcome.coming else None,
            converted=bool(moment["converted"]),
            segment="",
            cluster="",
            audiences=(),
            lifecycle=outcome.lifecycle.value,
            journey_stage=JourneyStage(int(moment["stage"])).name,
            events_seen=int(moment["events_seen"]),
            features=canonical_bytes(rows[index]),
        )
        place = sessions[index], event_ids[index]
        points[place] = Point(answer, int(moment["epoch"]), outcome)
    return points

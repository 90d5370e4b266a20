"""The offline side: the day from Parquet through Arrow, a score after every event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.record import RecordArray
from micromoment.events.vocabulary import JourneyStage
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.outcome import abandonment_of, conversion_of
from training.event_files import event_days
from training.feature_store import FeatureWorkspace, user_rows_at
from training.pipeline.score import replay_settings
from training.replay.partition import partition_events
from training.replay.run import load_users, look_up_users, replay_grouped
from training.replay.sessions import group_by_session


@dataclass(frozen=True)
class OfflineJob:
    """What the offline process needs: paths and the day, nothing of the online side.

    `sabotage` names an event, by session and event id, whose first feature is changed by one bit.
    """

    bundle: Path
    events: Path
    workspace: Path
    day: date
    sabotage: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What both sides say after an event; `features` are float32 bytes, NaN made canonical."""

    conversion: float | None
    abandonment: float | None
    converted: bool
    segment: str
    journey_stage: str
    events_seen: int
    features: bytes


Answers = dict[tuple[str, str], Answer]  # by session and event id


def score_offline(job: OfflineJob) -> Answers:
    """Score every event of the day's own visits: those with no event on the day before."""
    bundle = load_bundle(job.bundle)
    settings = replay_settings(bundle, ids=None, workers=1)
    days = event_days(job.events).between(job.day - timedelta(days=1), job.day)
    workspace = FeatureWorkspace(job.workspace)
    answers: Answers = {}
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        parts = partition_events(days, scratch / "parts", wanted_from=job.day)
        users = look_up_users(
            parts, scratch / "users", settings, lambda table: user_rows_at(workspace, table)
        )
        for part, user in zip(parts, users, strict=True):
            grouped = group_by_session(pq.read_table(part), settings.shop)
            described = np.ones(len(grouped.batch), dtype=np.bool_)
            moments, features = replay_grouped(
                grouped, load_users(user), settings, bundle.tables, described, cross_fit=False
            )
            rows = bundle.model_input(features).copy()
            earlier = _begun_earlier(grouped.table["wanted"].to_numpy(), grouped.session_of)
            chosen = np.flatnonzero(~earlier & (moments["outcome"] > 0))
            if job.sabotage is not None:
                _flip_one_bit(rows, grouped.table, job.sabotage)
            answers |= _answers(bundle, grouped.table, chosen, moments, rows)
    return answers


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


def _answers(
    bundle: LoadedBundle,
    table: pa.Table,
    chosen: npt.NDArray[np.int64],
    moments: RecordArray,
    rows: npt.NDArray[np.float32],
) -> Answers:
    model = bundle.conversion
    sessions = table["session_id"].to_pylist()
    event_ids = table["event_id"].to_pylist()
    answers = {}
    for index in chosen.tolist():
        moment = moments[index]
        converted = bool(moment["converted"])
        probability = model.probability(rows[index]) if model else None
        answers[sessions[index], event_ids[index]] = Answer(
            conversion=None if probability is None else conversion_of(probability, converted),
            abandonment=None
            if probability is None
            else abandonment_of(probability, converted, bool(moment["cart"])),
            converted=converted,
            segment="",
            journey_stage=JourneyStage(int(moment["stage"])).name,
            events_seen=int(moment["events_seen"]),
            features=canonical_bytes(rows[index]),
        )
    return answers

"""Evaluate: how good a bundle's scores are on days that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa

from micromoment.errors import InvalidSettingError, NotEnoughDataError
from micromoment.events.identity import IdEncoder
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from training.churn.evaluate import ChurnRequest, evaluate_churn
from training.churn.judging import ChurnEvaluation
from training.evaluation import Evaluation, SegmentRow, evaluate, measure_segments
from training.event_files import event_days
from training.pipeline.portraits import VisitRecords
from training.pipeline.sample import PointSample, SampledPoints
from training.pipeline.score import Look, score_days
from training.progress import Steps
from training.segments.portraits import Portrait


@dataclass(frozen=True)
class EvaluateRequest:
    """Which bundle on which days: from `first_day` to `last_day` of `events`, both included.

    Earlier days of the folder are what users did before. `sample` decision points at most are kept
    with their features, to be described; with 0 no segment is portrayed either.
    """

    bundle: Path
    events: Path
    first_day: date
    last_day: date | None = None
    churn_every: int | None = None  # days between cuts, None: as suits the target
    ids: IdEncoder | None = None
    workers: int = 2
    bootstrap: int = 500
    seed: int = 1
    sample: int = 0


@dataclass(frozen=True)
class Evaluations:
    """What could be evaluated; `notes` say why something could not."""

    visits: Evaluation | None
    churn: ChurnEvaluation | None
    notes: tuple[str, ...]
    points: SampledPoints | None = None
    portraits: tuple[Portrait, ...] = ()


def evaluate_all(request: EvaluateRequest, steps: Steps | None = None) -> Evaluations:
    """Evaluate conversion and churn, as far as the bundle has them and the events tell of them.

    Raises `NotEnoughDataError` with both reasons when neither is possible.
    """
    bundle = load_bundle(request.bundle)
    visits = churn = None
    notes = []
    sample = PointSample(request.sample)
    records = VisitRecords(bundle, begun=True)

    def look(scored: pa.Table) -> None:
        sample.look(scored)
        records.look(scored)

    try:
        if bundle.conversion is None:
            reason = bundle.manifest.absent.get("conversion", "")
            raise NotEnoughDataError(f"{bundle.tag} has no conversion model: {reason}")
        visits = evaluate_bundle(request, steps, look if request.sample else None)
    except NotEnoughDataError as error:
        notes.append(str(error))
    try:
        churn = evaluate_churn(_churn_request(request), steps)
    except NotEnoughDataError as error:
        notes.append(str(error))
    if visits is None and churn is None:
        raise NotEnoughDataError("; ".join(notes))
    return Evaluations(visits, churn, tuple(notes), sample.points(), tuple(records.portraits()))


def _churn_request(request: EvaluateRequest) -> ChurnRequest:
    return ChurnRequest(
        bundle=request.bundle,
        events=request.events,
        first_day=request.first_day,
        last_day=request.last_day,
        step=request.churn_every,
        ids=request.ids,
        bootstrap=request.bootstrap,
        seed=request.seed,
    )


def evaluate_bundle(
    request: EvaluateRequest, steps: Steps | None = None, look: Look | None = None
) -> Evaluation:
    """Score the days and compare with what came of them; `look` as `score_days` takes it.

    Visits that began before `first_day` are left out. Raises `NotEnoughDataError` when no event is
    left.
    """
    steps = steps or Steps()
    days = event_days(request.events).between(last=request.last_day)
    if request.last_day is not None and request.last_day < request.first_day:
        raise InvalidSettingError("to", f"{request.last_day} lies before {request.first_day}")
    if not days.between(first=request.first_day).files:
        raise NotEnoughDataError(f"{request.events} holds no events from {request.first_day} on")
    bundle = load_bundle(request.bundle)
    table = score_days(
        bundle,
        days,
        request.first_day,
        ids=days.encoder(request.ids),
        workers=request.workers,
        steps=steps,
        look=look,
    )
    frame = table.to_pandas()
    begins = frame.groupby("session_id")["source_seq"].transform("min")
    frame = frame[begins == 1]
    with steps.step("Compute metrics and intervals"):
        evaluation = evaluate(frame, bootstrap=request.bootstrap, seed=request.seed)
    with steps.step("Measure clusters and audiences"):
        return replace(evaluation, segments=_segments(frame, bundle))


def _segments(frame: pd.DataFrame, bundle: LoadedBundle) -> tuple[SegmentRow, ...]:
    clusters = bundle.clusters.file.clusters if bundle.clusters else ()
    audiences = bundle.audiences.file.audiences if bundle.audiences else ()
    return measure_segments(frame, [one.id for one in clusters], [one.id for one in audiences])

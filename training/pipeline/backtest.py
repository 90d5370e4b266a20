"""Walk forward: the scores that would have been served, day by day, and how good they were.

Each day is scored with what its midnight knew: the users' snapshots, the calibration and the
learned tables as of the day before, and a model trained on a schedule. Nothing of a later day is
read, so these are the figures that a shop would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.errors import InvalidSettingError, NotEnoughDataError
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.stores.bundles import find_bundle
from training.card import Card, write_card
from training.card.parts import Part, section, table
from training.evaluation import Evaluation, evaluate
from training.event_files import EventDays, event_days
from training.outputs import make_folder
from training.pipeline.features import UserHistory, build_history, temporary_workspace
from training.pipeline.recalibrate import (
    calibration_of,
    carry_on,
    fit_tables_anew,
    known_until,
    outcomes_of_day,
)
from training.pipeline.rows import visit_codes
from training.pipeline.score import SCORE_COLUMNS, replay_settings, score_days
from training.pipeline.train import TrainRequest, train
from training.progress import Steps
from training.publishing.revise import Revision, publish_revision


@dataclass(frozen=True)
class BacktestRequest:
    """How to train, and the days to walk over, both included.

    `training` names events, shop and parameters; its `until`, store and workspace don't matter.
    A model is trained for the first day and every `retrain_every` days from there; None: once.
    `refresh_tables` says whether tables are fitted anew at each midnight, or with the model only.
    """

    training: TrainRequest
    first_day: date
    last_day: date
    retrain_every: int | None = 7
    refresh_tables: bool = True
    bootstrap: int = 500
    seed: int = 1


@dataclass(frozen=True)
class DayServed:
    """One day of the walk: which training its bundle came from, and what was scored."""

    day: date
    trained_until: date
    events: int
    buyers: int  # visits with an order later


@dataclass(frozen=True)
class Backtest:
    """The evaluation of all days together, the days, and the scored events."""

    evaluation: Evaluation
    days: tuple[DayServed, ...]
    scores: pa.Table


def backtest(request: BacktestRequest, steps: Steps | None = None) -> Backtest:
    """Walk over the days and judge what would have been served.

    Visits that began before the first day are left out of the evaluation. Raises
    `NotEnoughDataError` when the days before the first are too few to train on, or one in between
    has no events at all.
    """
    steps = steps or Steps()
    if request.retrain_every is not None and request.retrain_every < 1:
        raise InvalidSettingError("retrain_every", "must be a day or more")
    days = event_days(request.training.events).between(last=request.last_day)
    request = replace(
        request,
        training=replace(request.training, ids=days.encoder(request.training.ids)),
    )
    wanted = days.between(first=request.first_day)
    if not wanted.files:
        raise NotEnoughDataError(
            f"{request.training.events} holds no events from {request.first_day}"
            f" to {request.last_day}"
        )
    with TemporaryDirectory() as temporary:
        walk = _Walk(request, days, Path(temporary), steps)
        tables = [walk.step_to(day) for day in wanted.days]
        served = tuple(walk.served)
    scores = _with_final_outcomes(pa.concat_tables(tables))
    frame = scores.to_pandas()
    begins = frame.groupby("session_id")["source_seq"].transform("min")
    with steps.step("Compute metrics and intervals"):
        found = evaluate(frame[begins == 1], bootstrap=request.bootstrap, seed=request.seed)
    return Backtest(found, served, scores)


def write_backtest(found: Backtest, folder: Path) -> Path:
    """Write `scores.parquet` as `micromoment score` does, the figures and the page.

    Gives the page's path.
    """
    make_folder(folder)
    scores = found.scores.select(list(SCORE_COLUMNS))
    pq.write_table(scores, folder / "scores.parquet", compression="zstd")
    rows = [
        (one.day.isoformat(), one.trained_until.isoformat(), f"{one.events:,}", f"{one.buyers:,}")
        for one in found.days
    ]
    headings = ("day", "model trained until", "events", "visits with an order")
    days = section("", "What each day was served by.", table(headings, rows))
    card = Card(
        "Walking forward", visits=found.evaluation, more_parts=(Part("days", "Days", days),)
    )
    return write_card(card, folder)


class _Walk:
    """The shop's nights, one after another: train or refresh, then serve the day."""

    def __init__(
        self, request: BacktestRequest, days: EventDays, scratch: Path, steps: Steps
    ) -> None:
        self._request = request
        self._days = days
        self._scratch = scratch
        self._steps = steps
        self._store = scratch / "store"
        self._bundle: LoadedBundle | None = None
        self._trained_for: date | None = None
        self._last: pa.Table | None = None  # what was served since the calibration was carried on
        self._history = self._cut_history()
        self.served: list[DayServed] = []

    def step_to(self, day: date) -> pa.Table:
        """Give the scored events of the next day."""
        bundle = self._prepared(day)
        known = self._days.between(last=day)
        training = self._request.training
        table = score_days(
            bundle,
            known,
            day,
            history=self._history,
            ids=training.ids,
            workers=training.workers,
            steps=self._steps,
        )
        self._bundle, self._last = bundle, table
        until = date.fromisoformat(bundle.manifest.training["last_day"])
        buyers = len(np.unique(visit_codes(table)[table["label"].to_numpy()]))
        self.served.append(DayServed(day, until, len(table), buyers))
        return table

    def _prepared(self, day: date) -> LoadedBundle:
        every = self._request.retrain_every
        due = self._trained_for is None or (
            every is not None and (day - self._trained_for).days >= every
        )
        return self._train(day) if due or self._bundle is None else self._refresh(self._bundle, day)

    def _train(self, day: date) -> LoadedBundle:
        request = replace(
            self._request.training,
            until=day - timedelta(days=1),
            store=self._store,
            workspace=self._scratch / f"workspace-{day.isoformat()}",
            lint=self._trained_for is None,
        )
        report = train(request, self._steps)
        self._trained_for = day
        return load_bundle(find_bundle(self._store, report.tag))

    def _refresh(self, bundle: LoadedBundle, day: date) -> LoadedBundle:
        if self._last is None:
            return bundle
        before = self._days.between(last=day - timedelta(days=1))
        last_day = before.days[-1]
        known = known_until(bundle, before)
        fresh = {last_day: outcomes_of_day(bundle, self._last, last_day, last_day)}
        track = carry_on(calibration_of(bundle), known, fresh)
        training = self._request.training
        tables = None
        if self._request.refresh_tables:
            settings = replay_settings(bundle, training.ids, training.workers)
            tables = fit_tables_anew(before, settings, self._steps)
        manifest = publish_revision(bundle.path, Revision(last_day, track, tables), self._store)
        return load_bundle(find_bundle(self._store, manifest.tag))

    def _cut_history(self) -> UserHistory:
        training = self._request.training
        with self._steps.step("Cut user snapshots and register features"):
            workspace = temporary_workspace(self._scratch / "users")
            return build_history(
                self._days, workspace, training.replay, training.publish_lag, self._days.days[-1]
            )


def _with_final_outcomes(table: pa.Table) -> pa.Table:
    """Tell the points of a visit that crossed midnight of the order that came after it."""
    visits = visit_codes(table)
    converted = table["converted"].to_numpy()
    bought = np.zeros(int(visits.max(initial=-1)) + 1, np.bool_)
    bought[visits[converted]] = True
    label = table["label"].to_numpy() | (bought[visits] & ~converted)
    place = table.schema.get_field_index("label")
    return table.set_column(place, "label", pa.array(label))

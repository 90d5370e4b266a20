"""Recalibrate: carry a bundle's calibration on through later days, without training anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.errors import NotEnoughDataError
from micromoment.events.identity import IdEncoder
from micromoment.features.tables import Tables, served_tables
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.calibration import DEEP_EVENTS, DepthCalibrator, PlattCalibrator
from training.event_files import EventDays, event_days
from training.models.calibration_track import CALIBRATION_KS, CalibrationTrack, DayOutcomes
from training.models.weights import at_counts
from training.pipeline.rows import known_outcome, visit_codes
from training.pipeline.score import replay_settings, score_days
from training.privacy.erase import erasures_seen
from training.progress import Steps
from training.publishing.bundle import read_calibration
from training.publishing.revise import Revision, publish_revision
from training.replay.partition import count_rows, partition_events
from training.replay.run import ReplaySettings
from training.snapshots.cuts import cut_at
from training.tables.fit import fit_tables

# Older days would hardly count, and each takes its time.
TRAILING_DAYS: Final = 14


@dataclass(frozen=True)
class RecalibrateRequest:
    """Which bundle, and the events up to `until` whose outcomes are known; None: to the last day.

    With `tables`, what was learned of pages, sources and products is fitted anew as well.
    """

    bundle: Path
    events: Path
    until: date | None = None
    tables: bool = False
    store: Path | None = None
    ids: IdEncoder | None = None
    workers: int = 2


@dataclass(frozen=True)
class RecalibrateReport:
    """The new bundle, the days it learned from, and the calibration before and after."""

    tag: str
    days: tuple[date, ...]
    visits: int
    before: DepthCalibrator
    after: DepthCalibrator

    def changes(self) -> list[tuple[str, PlattCalibrator, PlattCalibrator]]:
        """Give the maps before and after, of a visit's first event and of a deep visit."""
        return [
            ("after 1 event", self.before.first, self.after.first),
            (f"after {DEEP_EVENTS} events", self.before.deep, self.after.deep),
        ]


def recalibrate(request: RecalibrateRequest, steps: Steps | None = None) -> RecalibrateReport:
    """Publish the bundle with the calibration as of `until`, at most `TRAILING_DAYS` days on.

    The days are those after the bundle's last one. Raises `NotEnoughDataError` when there are none,
    or the bundle has no conversion model.
    """
    steps = steps or Steps()
    bundle = load_bundle(request.bundle)
    before = calibration_of(bundle)
    days = event_days(request.events).between(last=request.until)
    known = known_until(bundle, days)
    fresh = days.between(first=known + timedelta(days=1))
    if not fresh.files:
        raise NotEnoughDataError(f"{request.events} holds no day after {known}, which is known")
    first = max(fresh.days[0], fresh.days[-1] - timedelta(days=TRAILING_DAYS - 1))
    ids = days.encoder(request.ids)
    table = score_days(bundle, days, first, ids=ids, workers=request.workers, steps=steps)
    used = fresh.between(first=first)
    outcomes = {day: outcomes_of_day(bundle, table, day, days.days[-1]) for day in used.days}
    after = carry_on(before, known, outcomes)
    tables = None
    if request.tables:
        settings = replay_settings(bundle, ids, request.workers)
        tables = fit_tables_anew(days, settings, steps)
    with steps.step("Publish the bundle"):
        revision = Revision(days.days[-1], after, tables, erasures_seen(request.events))
        manifest = publish_revision(request.bundle, revision, request.store)
    visits = _visits(table, used.days)
    return RecalibrateReport(
        manifest.tag, tuple(used.days), visits, before.calibrator, after.calibrator
    )


def _visits(table: pa.Table, days: list[date]) -> int:
    of_days = table.filter(pc.is_in(table["day"], pa.array(days)))
    return len(np.unique(visit_codes(of_days)))


def calibration_of(bundle: LoadedBundle) -> CalibrationTrack:
    """Read the bundle's calibration. Raises `NotEnoughDataError` where it has no conversion."""
    track = read_calibration(bundle.path)
    if track is None:
        reason = bundle.manifest.absent.get("conversion", "")
        raise NotEnoughDataError(f"{bundle.tag} has no conversion model: {reason}")
    return track


def known_until(bundle: LoadedBundle, days: EventDays) -> date:
    """Give the last day whose outcomes the bundle's calibration knows.

    A starter's knows none: of the days given it is the one before the first.
    """
    training = bundle.manifest.training
    known = training.get("calibrated_until", training.get("last_day"))
    if known is None:
        return (days.days[0] if days.files else date.max) - timedelta(days=1)
    return date.fromisoformat(known)


def carry_on(
    track: CalibrationTrack, known: date, outcomes: dict[date, DayOutcomes]
) -> CalibrationTrack:
    """Carry a calibration on from the day `known` through days of outcomes, in order."""
    for day, outcome in outcomes.items():
        track = track.after(outcome, (day - known).days)
        known = day
    return track


def outcomes_of_day(
    bundle: LoadedBundle, table: pa.Table, day: date, last_day: date
) -> DayOutcomes:
    """Take the decision points of a shop-day out of scored events, with the model's raw scores.

    Visits that were still undecided when `last_day` ended are left out, whatever came of them.
    """
    model = bundle.conversion
    if model is None:
        raise ValueError(f"{bundle.tag} has no conversion model")
    end = cut_at(last_day + timedelta(days=1), bundle.shop).time_us
    known = known_outcome(table, end - bundle.session_expiry_us)
    wanted = pc.and_(pc.and_(known, pc.equal(table["day"], day)), table["batch_last"])
    wanted = pc.and_(wanted, pc.and_(_begun_there(table), _before_order(table)))
    points = table.filter(wanted)
    seen = points["events_seen"].to_numpy()
    at = at_counts(seen, visit_codes(points), CALIBRATION_KS)
    seen = seen[at]
    # A probability that rounds to 0 or 1 has no log-odds.
    probabilities = np.clip(points["conversion"].to_numpy()[at], 1e-15, 1 - 1e-15)
    pairs = zip(probabilities.tolist(), seen.tolist(), strict=True)
    raw = [model.calibrator.at(count).raw_score(one) for one, count in pairs]
    return DayOutcomes(np.array(raw, np.float64), points["label"].to_numpy()[at], seen)


def _begun_there(table: pa.Table) -> pa.Array:
    """Mark the rows of sessions whose first event is in the table."""
    sessions = pc.dictionary_encode(table["session_id"].combine_chunks()).indices.to_numpy()
    begun = np.zeros(int(sessions.max(initial=-1)) + 1, np.bool_)
    begun[sessions[table["source_seq"].to_numpy() == 1]] = True
    return pa.array(begun[sessions])


def _before_order(table: pa.Table) -> pa.ChunkedArray:
    return pc.invert(pc.or_(table["converted"], table["after_order"]))


def fit_tables_anew(days: EventDays, settings: ReplaySettings, steps: Steps) -> Tables:
    """Fit the tables that a bundle carries on all days."""
    with TemporaryDirectory() as temporary:
        with steps.step("Group events by session", count_rows(days)) as advance:
            parts = partition_events(days, Path(temporary), advance=advance)
        with steps.step("Fit tables: transitions, pages, sources, products"):
            return served_tables(fit_tables(parts, settings))

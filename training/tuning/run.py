"""From events to the best parameters found: rows are prepared once, as training prepares them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from micromoment.errors import NotEnoughDataError
from micromoment.events.shop import Shop
from training.event_files import EventDays, event_days
from training.models.rows import DecisionRows
from training.pipeline.blocks import forward_blocks
from training.pipeline.learn import learnable
from training.pipeline.plain_rows import read_rows
from training.pipeline.replayed import replay_for_learning
from training.pipeline.splits import usable_splits
from training.progress import Steps
from training.replay.run import ReplaySettings
from training.tuning.search import Budget, Tuned, search


@dataclass(frozen=True)
class TuneRequest:
    """What to search on; `until` is the last day, included."""

    events: Path
    until: date | None = None
    shop: Shop = field(default_factory=Shop)
    budget: Budget = field(default_factory=Budget)
    publish_lag: timedelta = timedelta(hours=1)
    workers: int = 2


def run_search(request: TuneRequest, steps: Steps | None = None) -> Tuned:
    """Prepare the rows, then search. Raises `NotEnoughDataError` as training does."""
    steps = steps or Steps()
    days = event_days(request.events).between(last=request.until)
    if not days.files:
        raise NotEnoughDataError(f"{request.events} holds no events until {request.until}")
    blocks = forward_blocks(days.days)
    with TemporaryDirectory() as temporary:
        rows = _rows(request, days, Path(temporary), steps)
    splits = usable_splits(rows, blocks)
    with steps.step("Try parameters", request.budget.trials) as advance:
        return search(splits, request.budget, advance)


def _rows(request: TuneRequest, days: EventDays, scratch: Path, steps: Steps) -> DecisionRows:
    settings = ReplaySettings(request.shop, workers=request.workers)
    replayed = replay_for_learning(days, settings, request.publish_lag, scratch, steps).report
    if not replayed.decisions:
        raise NotEnoughDataError("no event precedes the first order of its visit")
    span = (days.days[-1] - days.days[0]).days + 1
    return learnable(read_rows(replayed.outputs, days, settings), span)

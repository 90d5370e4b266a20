"""Decision rows of events alone: no learned tables, no visitor with a past.

That is what a new shop begins with, and what counting visits and orders needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.errors import NotEnoughDataError
from micromoment.features.tables import neutral_tables
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserStatus
from training.event_files import EventDays
from training.models.rows import DecisionRows
from training.pipeline.rows import known_outcome, to_rows
from training.replay.partition import partition_events
from training.replay.run import ReplaySettings, UserRows, replay_parts
from training.snapshots.cuts import cut_at


@dataclass(frozen=True)
class PlainRows:
    """The rows, in the order of visits and events, and the grouped events."""

    rows: DecisionRows
    parts: list[Path]


def nobody(take_ups: pa.Table) -> UserRows:
    """Answer take-ups of a shop where no visitor has a past."""
    unknown = np.full(len(take_ups), UserStatus.UNKNOWN, np.uint8)
    return np.zeros(len(take_ups), USER_SNAPSHOT), unknown


def plain_rows(
    days: EventDays,
    scratch: Path,
    settings: ReplaySettings,
    advance: Callable[[int], None] = lambda _: None,
) -> PlainRows:
    """Replay days; visits that had not ended when the days did are left out, as `train` does.

    Raises `NotEnoughDataError` where no event precedes the first order of its visit.
    """
    parts = partition_events(days, scratch / "parts")
    replayed = replay_parts(
        parts,
        scratch / "decisions",
        settings,
        nobody,
        neutral_tables(),
        only_eligible=True,
        advance=advance,
    )
    if not replayed.decisions:
        raise NotEnoughDataError("no event precedes the first order of its visit")
    return PlainRows(read_rows(replayed.outputs, days, settings), parts)


def read_rows(outputs: Sequence[Path], days: EventDays, settings: ReplaySettings) -> DecisionRows:
    """Read replayed decision points, in the order of visits and events.

    Visits that had not ended when the days did are left out.
    """
    table = pa.concat_tables([pq.read_table(path) for path in outputs])
    table = table.sort_by(
        [("session_id", "ascending"), ("feature_time", "ascending"), ("events_seen", "ascending")]
    )
    end = cut_at(days.days[-1] + timedelta(days=1), settings.shop).time_us
    return to_rows(table.filter(known_outcome(table, end - settings.expiry_us)))

"""Several simulated shops, pooled: decision rows as training has them, without any shop's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.features.tables import neutral_tables
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserStatus
from training.event_files import EventDays, event_days
from training.importers.ga4 import import_ga4
from training.models.rows import DecisionRows
from training.pipeline.rows import known_outcome, to_rows
from training.replay.partition import partition_events
from training.replay.run import ReplaySettings, UserRows, replay_parts
from training.simulator import ShopConfig, write_ga4_export
from training.snapshots.cuts import cut_at

# Shops of different assortments and levels, so that the model is of none of them. They convert more
# than most real ones do: orders are what there is to learn from, and the level is set afterwards.
SHOPS: Final[tuple[ShopConfig, ...]] = tuple(
    ShopConfig(
        seed=seed, days=4, sessions_per_day=2_000, n_items=n_items, target_conversion=conversion,
        burn_in_days=7,
    )
    for seed, n_items, conversion in ((101, 40, 0.02), (102, 80, 0.04), (103, 150, 0.06), (104, 300, 0.08))
)


@dataclass(frozen=True)
class SimulatedRows:
    """A simulated shop's decision rows, and its days of events."""

    rows: DecisionRows
    days: EventDays
    decisions: tuple[Path, ...]  # the replay's files


def nobody(take_ups: pa.Table) -> UserRows:
    """Answer take-ups of a shop where no visitor has a past."""
    unknown = np.full(len(take_ups), UserStatus.UNKNOWN, np.uint8)
    return np.zeros(len(take_ups), USER_SNAPSHOT), unknown


def simulated_rows(config: ShopConfig, folder: Path, settings: ReplaySettings) -> SimulatedRows:
    """Simulate, import and replay one shop; all files go below `folder`."""
    write_ga4_export(config, folder / "export")
    import_ga4(str(folder / "export" / "events_*.parquet"), folder / "events", currency="USD")
    days = event_days(folder / "events")
    parts = partition_events(days, folder / "parts")
    replayed = replay_parts(
        parts, folder / "decisions", settings, nobody, neutral_tables(), only_eligible=True
    )
    return SimulatedRows(read_rows(replayed.outputs, days, settings), days, replayed.outputs)


def read_rows(
    outputs: Sequence[Path], days: EventDays, settings: ReplaySettings
) -> DecisionRows:
    """Read replayed decision points of visits that had ended when the days did, in their order."""
    table = pa.concat_tables([pq.read_table(path) for path in outputs])
    table = table.sort_by(
        [("session_id", "ascending"), ("feature_time", "ascending"), ("events_seen", "ascending")]
    )
    end = cut_at(days.days[-1] + timedelta(days=1), settings.shop).time_us
    return to_rows(table.filter(known_outcome(table, end - settings.expiry_us)))

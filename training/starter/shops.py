"""Several simulated shops: decision rows as training has them, without any shop's tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.event_files import EventDays, event_days
from training.importers.ga4 import import_ga4
from training.models.rows import DecisionRows
from training.pipeline.plain_rows import plain_rows
from training.replay.run import ReplaySettings
from training.simulator import ShopConfig, write_ga4_export

# Shops of different assortments and levels, so that the model is of none of them. They convert more
# than most real ones do: orders are what there is to learn from, and the level is set afterwards.
SHOPS: Final[tuple[ShopConfig, ...]] = tuple(
    ShopConfig(
        seed=seed,
        days=4,
        sessions_per_day=2_000,
        n_items=n_items,
        target_conversion=conversion,
        burn_in_days=7,
    )
    for seed, n_items, conversion in (
        (101, 40, 0.02),
        (102, 80, 0.04),
        (103, 150, 0.06),
        (104, 300, 0.08),
    )
)


@dataclass(frozen=True)
class SimulatedRows:
    """A simulated shop's decision rows, and its days of events."""

    rows: DecisionRows
    days: EventDays


def simulated_rows(config: ShopConfig, folder: Path, settings: ReplaySettings) -> SimulatedRows:
    """Simulate, import and replay one shop; all files go below `folder`."""
    write_ga4_export(config, folder / "export")
    import_ga4(str(folder / "export" / "events_*.parquet"), folder / "events", currency="USD")
    days = event_days(folder / "events")
    return SimulatedRows(plain_rows(days, folder, settings).rows, days)

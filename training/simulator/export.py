"""Writing a simulated shop as the files of a GA4 BigQuery export, with the truth beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.errors import InvalidSettingError
from training.simulator.config import ShopConfig, SimulationReport
from training.simulator.ga4.raw_rows import raw_rows, take_rows
from training.simulator.ga4.table import RawRows, export_table
from training.simulator.ga4.visitors import Visitors, describe_visitors
from training.simulator.shop import DecisionPoints, SimulatedShop, simulate
from training.simulator.shopping.codes import Kind
from training.simulator.shopping.rhythm import DAY_US
from training.simulator.shopping.streams import EXPORT, generator
from training.simulator.truth import true_conversion

# Called with the days written and the days in all.
Progress = Callable[[int, int], None]

# In a folder of its own: an importer may be given the whole folder of the export.
TRUTH_FILE: Final = Path("truth") / "truth.parquet"
_VISITORS, _ORDER, _TRUTH = 1, 2, 3


def run(
    out: Path, days: int, sessions_per_day: int, seed: int, truth_fraction: float
) -> SimulationReport:
    """Simulate a shop with the usual habits and write it to a folder."""
    config = ShopConfig(seed=seed, days=days, sessions_per_day=sessions_per_day)
    return write_ga4_export(config, out, truth_fraction=truth_fraction)


def write_ga4_export(
    config: ShopConfig,
    out_dir: Path,
    *,
    truth_fraction: float = 0.0,
    n_rollouts: int = 200,
    progress: Progress | None = None,
) -> SimulationReport:
    """Write `events_YYYYMMDD.parquet` for each day; the same config gives the same bytes.

    With a `truth_fraction` above 0, that share of all decision points goes to
    `truth/truth.parquet`: user_pseudo_id, ga_session_id, event_timestamp (of the batch,
    microseconds UTC), conversion (the true probability of a purchase later in the session) and
    n_rollouts. Files of an earlier run over the same days are replaced, its truth goes.

    Raises:
        InvalidSettingError: a value can't work, or the folder holds other days' files.
    """
    if not 0 <= truth_fraction <= 1:
        raise InvalidSettingError("truth_fraction", "must lie between 0 and 1")
    _refuse_other_days(config, out_dir)
    shop = simulate(config)
    visitors = _visitors(shop)
    raw = raw_rows(shop)
    (out_dir / TRUTH_FILE).unlink(missing_ok=True)
    for number, places in enumerate(_days_in_file_order(config, raw)):
        date = f"{config.day(number):%Y%m%d}"
        table = export_table(take_rows(raw, places), date, shop.catalogue, visitors)
        _write(table, out_dir / f"events_{date}.parquet")
        if progress is not None:
            progress(number + 1, config.days)
    truth_points = 0
    if truth_fraction > 0:
        truth = _truth_table(shop, visitors, truth_fraction, n_rollouts)
        _write(truth, out_dir / TRUTH_FILE)
        truth_points = truth.num_rows
    bought = raw.rows["kind"] == Kind.PURCHASE
    return SimulationReport(
        days=config.days,
        users=np.unique(raw.sessions["shopper"]).size,
        sessions=np.unique(raw.rows["session"]).size,
        events=raw.rows.size,
        purchases=int(bought.sum()),
        converted_sessions=np.unique(raw.rows["session"][bought]).size,
        truth_points=truth_points,
    )


def _refuse_other_days(config: ShopConfig, out_dir: Path) -> None:
    own = {f"events_{config.day(number):%Y%m%d}.parquet" for number in range(config.days)}
    others = sorted({path.name for path in out_dir.glob("events_*.parquet")} - own)
    if others:
        raise InvalidSettingError(
            "out", f"the folder holds days of another export, such as {others[0]}"
        )


def _days_in_file_order(config: ShopConfig, raw: RawRows) -> list[npt.NDArray[np.int64]]:
    """Give the rows of each day: grouped by visitor, in random order within one, as exports are."""
    rng = generator(config.seed, EXPORT, _ORDER)
    day = (raw.rows["time_us"] - config.start_us) // DAY_US
    order = np.lexsort((rng.random(day.size), raw.sessions["shopper"], day))
    starts = np.searchsorted(day[order], np.arange(config.days + 1))
    return [order[starts[number] : starts[number + 1]] for number in range(config.days)]


def _truth_table(
    shop: SimulatedShop, visitors: Visitors, fraction: float, n_rollouts: int
) -> pa.Table:
    points = shop.decision_points()
    rng = generator(shop.config.seed, EXPORT, _TRUTH)
    points = points.take(rng.random(len(points)) < fraction)
    truth = pa.array(true_conversion(shop, points, n_rollouts))
    table = _keys(shop, points, visitors).append_column("conversion", truth)
    return table.append_column(
        "n_rollouts", pa.array(np.full(len(points), n_rollouts, dtype=np.int32))
    )


def point_keys(shop: SimulatedShop, points: DecisionPoints) -> pa.Table:
    """Name decision points as the shop's export does, in their order.

    Columns: user_pseudo_id, ga_session_id, event_timestamp (microseconds UTC).
    """
    return _keys(shop, points, _visitors(shop))


def _keys(shop: SimulatedShop, points: DecisionPoints, visitors: Visitors) -> pa.Table:
    sessions = shop.sessions[points.session]
    return pa.table(
        {
            "user_pseudo_id": visitors.pseudo_ids.take(pa.array(sessions["shopper"])),
            "ga_session_id": pa.array(sessions["start_us"] // 1_000_000),
            "event_timestamp": pa.array(points.time_us),
        }
    )


def _visitors(shop: SimulatedShop) -> Visitors:
    return describe_visitors(generator(shop.config.seed, EXPORT, _VISITORS), shop.shoppers)


def _write(table: pa.Table, path: Path) -> None:
    """Write a file that is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished, compression="zstd")
    unfinished.replace(path)

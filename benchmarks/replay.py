"""How fast the reducer replays events on one core.

    python -m benchmarks.replay [--events FOLDER] [--rounds N]

Without `--events` a simulated shop is used. In each round, in turn: reading the Parquet files alone
(the baseline of the ratios), Arrow to records, records to features, Arrow to features, and Parquet
to Parquet through the whole of `replay_part`. Prints events/s as median [min, max] over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.shop import Shop
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.tables import neutral_tables
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserStatus
from training.event_files import EventDays, event_days
from training.importers.ga4 import import_ga4
from training.replay.labels import batch_ends
from training.replay.partition import PART_SCHEMA
from training.replay.run import ReplayJob, ReplaySettings, UserRows, replay_grouped, replay_part
from training.replay.sessions import GroupedEvents, group_by_session
from training.simulator import ShopConfig, write_ga4_export

SETTINGS = ReplaySettings(Shop())


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, help="folder of canonical events")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        days = event_days(given.events or _simulated(scratch))
        _run(days, scratch, given.rounds)


def _simulated(scratch: Path) -> Path:
    write_ga4_export(ShopConfig(days=10, sessions_per_day=2_000), scratch / "export")
    import_ga4(scratch / "export", scratch / "events")
    return scratch / "events"


def _run(days: EventDays, scratch: Path, rounds: int) -> None:
    table = pa.concat_tables([pq.read_table(path) for path in days.files.values()])
    table = table.append_column("wanted", pa.array(np.ones(len(table), np.bool_)))
    table = table.combine_chunks().cast(PART_SCHEMA)
    part = scratch / "part.parquet"
    pq.write_table(table, part, compression="lz4")
    grouped = group_by_session(table, SETTINGS.shop)
    last, _ = batch_ends(grouped)
    users = scratch / "users.npz"
    rows, status = _no_users(1)
    np.savez(users, row=np.zeros(1, np.int64), users=rows, status=status)
    out = scratch / "out.parquet"
    job = ReplayJob(
        part,
        users,
        out,
        SETTINGS,
        neutral_tables(),
        only_eligible=False,
        only_wanted=True,
        cross_fit=False,
    )
    works: dict[str, Callable[[], object]] = {
        "read Parquet (baseline)": lambda: pq.read_table(part),
        "Arrow to records": lambda: group_by_session(table, SETTINGS.shop),
        "records to features": lambda: _replay(grouped, last),
        "Arrow to features": lambda: _replay(group_by_session(table, SETTINGS.shop), last),
        "Parquet to Parquet": lambda: replay_part(job),
    }
    _replay(grouped, last)  # compiled before the clock runs
    print(f"{len(table):,} events, {len(FEATURE_NAMES)} features, {int(last.sum()):,} vectors")
    _print(_measure(works, rounds), len(table))


def _replay(grouped: GroupedEvents, described: npt.NDArray[np.bool_]) -> object:
    rows, status = _no_users(1)
    users = (rows, status, np.zeros(1, np.int64))
    return replay_grouped(grouped, users, SETTINGS, neutral_tables(), described, cross_fit=False)


def _no_users(n: int) -> UserRows:
    return np.zeros(n, USER_SNAPSHOT), np.full(n, int(UserStatus.UNKNOWN), np.uint8)


def _measure(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            start = time.process_time()
            work()
            seconds[name].append(time.process_time() - start)
    return seconds


def _print(seconds: dict[str, list[float]], events: int) -> None:
    baseline = next(iter(seconds.values()))
    for name, times in seconds.items():
        rates = sorted(events / spent for spent in times)
        ratio = statistics.median(spent / base for spent, base in zip(times, baseline, strict=True))
        middle = statistics.median(rates)
        print(
            f"{name:<26} {middle:>12,.0f} events per CPU-second "
            f"[{rates[0]:,.0f}, {rates[-1]:,.0f}]  {ratio:5.2f} x baseline's time"
        )


if __name__ == "__main__":
    main()

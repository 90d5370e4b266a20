"""What `train` takes as a shop grows: time and peak memory by the number of events.

    python -m benchmarks.scale --out build/scale --copies 1,3,10

simulates a shop of about a million events in 14 days, imports it, and trains on it and on several
shops like it put together: each copy has the same visits under ids of its own. So traffic grows,
and with it the visitors, and what a visit is like does not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SESSIONS_PER_DAY: Final = 6_300
DAYS: Final = 14
_IDS: Final = ("event_id", "session_id", "anonymous_id", "user_id", "order_id")
_LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Cost:
    """What one training took; `peak_mb` is of all its processes, shared pages counted once."""

    events: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    peak_at_s: float


def main() -> None:
    """Train at each size and print the table."""
    parser = argparse.ArgumentParser(description="Time and memory of training by events.")
    parser.add_argument("--out", type=Path, required=True, help="folder for events and bundles")
    parser.add_argument("--copies", default="1,3", help="how many shops, commas between")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--train", default="", help="more options of train")
    arguments = parser.parse_args()
    base = arguments.out / "base"
    if not (base / "events").exists():
        _simulate(base)
    print(f"load before {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    costs = []
    for copies in map(int, arguments.copies.split(",")):
        events = arguments.out / f"events-{copies}"
        n = _replicate(base / "events", events, copies)
        folder = arguments.out / f"run-{copies}"
        costs.append(_train(events, n, folder, arguments.workers, arguments.train.split()))
        print(_row(costs[-1], costs[-2] if len(costs) > 1 else None), flush=True)


def _simulate(base: Path) -> None:
    command = [sys.executable, "-m", "micromoment"]
    size = ["--days", str(DAYS), "--sessions-per-day", str(SESSIONS_PER_DAY)]
    subprocess.run([*command, "simulate", "--out", base / "exports", *size], check=True)
    files = str(base / "exports" / "events_*.parquet")
    subprocess.run([*command, "import", "ga4", files, "--out", base / "events"], check=True)


def _replicate(base: Path, out: Path, copies: int) -> int:
    """Write each day with all copies of it; gives the number of events."""
    out.mkdir(parents=True, exist_ok=True)
    total = 0
    for path in sorted(base.glob("*.parquet")):
        target = out / path.name
        if not target.exists():
            unfinished = target.with_suffix(".unfinished")
            with pq.ParquetWriter(unfinished, pq.read_schema(path), compression="zstd") as writer:
                for table in _copies(pq.read_table(path), copies):
                    writer.write_table(table)
            unfinished.replace(target)
        total += pq.read_metadata(target).num_rows
    return total


def _copies(table: pa.Table, copies: int) -> Iterator[pa.Table]:
    yield table
    for copy in range(1, copies):
        other = table
        for name in _IDS:
            place = table.schema.get_field_index(name)
            given = pc.fill_null(pc.not_equal(table[name], ""), fill_value=False)
            renamed = pc.binary_join_element_wise(table[name], str(copy), ".")
            ids = pc.if_else(given, renamed, table[name])
            other = other.set_column(place, table.schema.field(place), ids)
        yield other


def _train(events: Path, n: int, folder: Path, workers: int, more: list[str]) -> Cost:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "micromoment", "train", "--events", str(events)]
    command += ["--features", str(folder / "features"), "--store", str(folder / "store")]
    command += ["--workers", str(workers), *more]
    start = time.perf_counter()
    with (
        (folder / "train.log").open("w") as log,
        (folder / "memory.csv").open("w") as memory,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        peak, peak_at = 0.0, 0.0
        while True:
            used = _memory_mb(process.pid)
            at = time.perf_counter() - start
            memory.write(f"{at:.1f},{used:.0f}\n")
            if used > peak:
                peak, peak_at = used, at
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                process.returncode = os.waitstatus_to_exitcode(status)
                break
            time.sleep(_LOOK_EVERY_S)
    if process.returncode != 0:
        raise SystemExit(f"train failed, see {folder / 'train.log'}")
    wall = time.perf_counter() - start
    return Cost(n, wall, usage.ru_utime + usage.ru_stime, peak, peak_at)


def _memory_mb(pid: int) -> float:
    """Add up the memory of a process and those that it started, in MB (10**6 bytes)."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
    except psutil.NoSuchProcess:
        return 0.0
    return total / 1e6


def _row(cost: Cost, before: Cost | None) -> str:
    millions = cost.events / 1e6
    row = (
        f"{cost.events:>12,} events  {cost.wall_s:>6.0f} s  CPU {cost.cpu_s:>6.0f} s"
        f"  peak {cost.peak_mb:>6,.0f} MB after {cost.peak_at_s:.0f} s"
    )
    if before is None:
        return row
    more = millions - before.events / 1e6
    return (
        f"{row}  per further million: {(cost.cpu_s - before.cpu_s) / more:.0f} s of CPU,"
        f" {(cost.peak_mb - before.peak_mb) / more:,.0f} MB"
    )


if __name__ == "__main__":
    main()

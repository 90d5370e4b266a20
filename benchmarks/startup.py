"""How long until a server serves, and what its probe costs: `python -m benchmarks.startup`.

Starts `micromoment serve` several times, from the process's start to health's SERVING, with the
machine code of an earlier start; then asks its health by the image's command. CPU is user and
system time of the whole process. Without a bundle a simulated shop's is trained first.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.latency import Served, simulated
from training.server_process import HttpServerProcess, ServerProcess

PROBE = ("-m", "micromoment.health", "--host", "127.0.0.1", "--port")
_POLL_S = 0.02


class _Quick(ServerProcess):
    """Looks often: a start is measured to a fiftieth of a second."""

    poll_s = _POLL_S


class _QuickHttp(HttpServerProcess):
    poll_s = _POLL_S


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="folder of the bundle store")
    parser.add_argument("--bundle", default="shop:latest")
    parser.add_argument("--features", type=Path, help="feature workspace")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--probes", type=int, default=20)
    parser.add_argument("--http", action="store_true", help="the front door, too")
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        if given.store:
            served = Served(given.store, given.bundle, given.features)
        else:
            served = simulated(scratch)
        kinds: list[type[ServerProcess]] = [_Quick, *([_QuickHttp] if given.http else [])]
        for kind in kinds:
            _starts(kind, served, scratch, given.starts)
        _probes(served, scratch, given.probes)


def _starts(kind: type[ServerProcess], served: Served, scratch: Path, starts: int) -> None:
    walls, cpus, rss = [], [], []
    for number in range(starts + 1):
        server = kind(_settings(served, scratch), scratch / "server.log")
        started = time.monotonic()
        with server:
            wall = time.monotonic() - started
            process = psutil.Process(server.pid)
            used = process.cpu_times()
            if number:  # the first may compile
                walls.append(wall)
                cpus.append(used.user + used.system)
                rss.append(process.memory_info().rss / 2**20)
    print(f"{kind.command:10} to SERVING {_summary(walls)} s   CPU {_summary(cpus)} s", end="")
    print(f"   RSS {statistics.median(rss):.0f} MB")


def _probes(served: Served, scratch: Path, probes: int) -> None:
    with _Quick(_settings(served, scratch), scratch / "server.log") as server:
        walls, cpus = [], []
        for number in range(probes + 1):
            wall, cpu = _probe((*PROBE, str(server.port)))
            if number:
                walls.append(wall * 1e3)
                cpus.append(cpu * 1e3)
    print(f"probe      {_summary(walls, 0)} ms   CPU {_summary(cpus, 0)} ms")


def _probe(arguments: Sequence[str]) -> tuple[float, float]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout == "SERVING\n", done
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _settings(served: Served, scratch: Path) -> dict[str, str | Path | float]:
    return {
        "bundle": served.bundle,
        "bundle_store": served.store,
        "feature_store": served.features or "",
        "state_dir": scratch / "state",
        "drain_lag": 0,
    }


def _summary(values: list[float], digits: int = 2) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


if __name__ == "__main__":
    main()

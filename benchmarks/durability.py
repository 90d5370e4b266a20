"""What the event log costs: `Score` with each durability over `Score` without a log.

    python -m benchmarks.durability [--rounds N] [--seconds S]

Four servers of one simulated bundle; each call carries a new event. In a round each server is
called for `--seconds` with 16 calls in flight, one server after the other, in turning order; a
ratio is that of one round. Prints medians over the rounds [min, max]; `cpu us` is the processor
time of the server's process, all threads, for a call.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil

from benchmarks.latency import Served
from benchmarks.serving import score_calls
from benchmarks.serving.measures import Load, ratios, spread
from benchmarks.serving.score_cases import NewEvents
from benchmarks.serving.simulated import trained_once
from training.server_process import ServerProcess

IN_FLIGHT: Final = 16
WITHOUT: Final = "no log"
KINDS: Final = (WITHOUT, "async", "commit", "fsync")
_WARM_UP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a server did in its turn of a round; `cpu_us` is microseconds a call."""

    load: Load
    cpu_us: float

    @property
    def per_s(self) -> float:
        """Calls answered a second."""
        return self.load.calls / self.load.seconds


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a server's turn")
    given = parser.parse_args(arguments)
    served = trained_once()
    shoppers = score_calls.shoppers_of(served.features)
    with TemporaryDirectory() as scratch, ExitStack() as stack:
        servers = {kind: _start(stack, served, Path(scratch), kind) for kind in KINDS}
        callers = {kind: NewEvents(servers[kind].port, shoppers, kind) for kind in KINDS}
        for caller in callers.values():
            caller.in_flight(IN_FLIGHT, _WARM_UP_S)()
        loads: dict[str, list[Turn]] = {kind: [] for kind in KINDS}
        for number in range(given.rounds):
            turn = number % len(KINDS)
            for kind in (*KINDS[turn:], *KINDS[:turn]):
                drive = callers[kind].in_flight(IN_FLIGHT, given.seconds)
                before = _cpu_s(servers[kind])
                load = drive()
                loads[kind].append(Turn(load, (_cpu_s(servers[kind]) - before) / load.calls * 1e6))
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)
    _print(loads)


def _start(stack: ExitStack, served: Served, scratch: Path, kind: str) -> ServerProcess:
    settings: dict[str, str | Path | float] = {
        "bundle": served.bundle,
        "bundle_store": served.store,
        "feature_store": served.features or "",
        "state_dir": scratch / kind,
        "user_feature_timeout": 5.0,
        "default_deadline": 30.0,
        "metrics_port": "",
        "admin_port": "",
        "drain_lag": 0,
    }
    settings |= {"event_log": ""} if kind == WITHOUT else {"durability": kind}
    return stack.enter_context(ServerProcess(settings, scratch / f"{kind}.log"))


def _cpu_s(server: ServerProcess) -> float:
    times = psutil.Process(server.pid).cpu_times()
    return float(times.user + times.system)


def _print(loads: dict[str, list[Turn]]) -> None:
    base = [turn.per_s for turn in loads[WITHOUT]]
    print(
        f"{'durability':10}  {'calls/s':>8}  {'over no log':>18}  {'cpu us':>7}  {'p50 ms':>7}  "
        f"{'p99 ms':>7}"
    )
    for kind, turns in loads.items():
        per_s = [turn.per_s for turn in turns]
        over = spread(ratios(per_s, base))
        figures = ([t.cpu_us for t in turns], [t.load.p50_ms for t in turns])
        cpu, p50 = (spread(values).median for values in figures)
        p99 = spread([turn.load.p99_ms for turn in turns]).median
        print(
            f"{kind:10}  {spread(per_s).median:8,.0f}  "
            f"{over.median:6.2f} [{over.low:.2f}, {over.high:.2f}]  "
            f"{cpu:7.0f}  {p50:7.2f}  {p99:7.2f}"
        )


if __name__ == "__main__":
    main()

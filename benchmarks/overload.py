"""What becomes of calls when several times more come than can be answered.

    python -m benchmarks.overload [--store FOLDER --bundle NAME:VERSION] [--seconds N] [--times X]

First calls in a closed loop tell how many can be answered, the peak. Then come a baseline at a
fifth of it, `--times` the peak for some seconds, and the baseline again, each call sent when it is
due (`benchmarks.open_loop`) and none repeated: the clients are of the worst kind. Meanwhile health
is asked over a connection of its own. Goodput is told of the clock and of the server's processor
time; on a machine that others use, too, compare both. Without a bundle a simulated shop's is
trained first.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

import grpc
import psutil
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from benchmarks.latency import OPTIONS, Served, simulated
from benchmarks.open_loop import NUMBER, Plan, Second
from micromoment.client import event, item, score_request
from training.server_process import ServerProcess

ROOT: Final = Path(__file__).parents[1]
TIMEOUT_MS: Final = 1_000
OK: Final = 0
CANCELLED: Final = 1
EXHAUSTED: Final = 8
_METHOD: Final = "/micromoment.v1.ScoringService/Score"
_SESSIONS: Final = 500
_HEALTH_PERIOD_S: Final = 0.02
_BASE_SHARE: Final = 0.2


@dataclass(frozen=True)
class Overload:
    """What was measured; times are in seconds.

    `cpu_at_peak` and `cpu_during` are the server's processor time in the phases of that name,
    `health` what its answers took in the overload and `calm_health` before and after.
    """

    at_peak: list[Second]
    before: list[Second]
    during: list[Second]
    after: list[Second]
    cpu_at_peak: float
    cpu_during: float
    health: list[float]
    calm_health: list[float]
    health_failures: int

    @property
    def peak(self) -> float:
        """Calls that are answered in a second where each is sent when another one has ended."""
        return _rate(self.at_peak)

    @property
    def goodput(self) -> float:
        """Calls answered within their deadline, per second of the overload."""
        good = [t for t in times(self.during, OK) if t <= TIMEOUT_MS / 1e3]
        return len(good) / len(self.during)

    @property
    def goodput_of_cpu(self) -> float:
        """Answers in a second of processor time, over those at the peak.

        Drops by gRPC's threads count here, whether or not they had a processor of their own.
        """
        at_peak = len(times(self.at_peak, OK)) / self.cpu_at_peak
        return self.goodput * len(self.during) / self.cpu_during / at_peak

    @property
    def seconds_to_baseline(self) -> float:
        """Seconds after the overload until all calls are answered, as fast as before."""
        usual = 2.0 * quantile(times(self.before, OK), 0.5)
        for place, second in enumerate(self.after):
            answered = second.times.get(OK, [])
            if len(answered) >= 0.99 * second.sent and quantile(answered, 0.5) <= usual:
                return place
        return math.inf


class HealthProbe(AbstractContextManager["HealthProbe"]):
    """Asks a process for its health and looks at its processor time, from a thread."""

    def __init__(self, port: int, pid: int) -> None:
        self.failures = 0
        self._answers: list[tuple[float, float]] = []
        self._process = psutil.Process(pid)
        self._cpu: list[tuple[float, float]] = []
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def health_of(self, seconds: Sequence[Second]) -> list[float]:
        """Give how long answers took that were asked for in some seconds."""
        begin, end = _span(seconds)
        return [taken for at, taken in self._answers if begin <= at <= end]

    def cpu_of(self, seconds: Sequence[Second]) -> float:
        """Give the processor time that the process took in some seconds."""
        begin, end = _span(seconds)
        within = [cpu for at, cpu in self._cpu if begin <= at <= end]
        return within[-1] - within[0]

    def _ask(self) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{self._port}", options=OPTIONS) as channel:
            check = HealthStub(channel).Check
            check(health_pb2.HealthCheckRequest(), timeout=10.0, wait_for_ready=True)
            while not self._stop.wait(_HEALTH_PERIOD_S):
                started = time.perf_counter()
                try:
                    reply = check(health_pb2.HealthCheckRequest(), timeout=5.0)
                    self.failures += reply.status != health_pb2.HealthCheckResponse.SERVING
                except grpc.RpcError:
                    self.failures += 1
                self._answers.append((started, time.perf_counter() - started))
                taken = self._process.cpu_times()
                self._cpu.append((time.perf_counter(), taken.user + taken.system))


def messages(sessions: int = _SESSIONS) -> list[str]:
    """Make requests, in hex, with an event each whose id a client numbers."""
    return [_request(session).hex() for session in range(sessions)]


def ask(
    port: int,
    phases: Sequence[tuple[float, int]],
    scratch: Path,
    *,
    first_number: int = 0,
    timeout_ms: int = TIMEOUT_MS,
) -> list[Second]:
    """Let a process of its own call `Score` as the phases say."""
    plan = Plan(port, _METHOD, messages(), list(phases), timeout_ms, first_number=first_number)
    path = scratch / "plan.json"
    path.write_text(json.dumps(vars(plan)), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.open_loop", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return [_second(one) for one in json.loads(done.stdout)]


def overload(
    port: int, pid: int, scratch: Path, *, seconds: int, multiple: float = 3.0, around_s: int = 3
) -> Overload:
    """Find the peak, then ask for a multiple of it, with a baseline around.

    The peak and the baseline before it take `around_s` seconds, the one after it three at least.
    """
    with HealthProbe(port, pid) as probe:
        loop = ask(port, [(200, 1), (0, around_s)], scratch)
    at_peak = [second for second in loop if second.phase == 1]
    cpu_at_peak = probe.cpu_of(at_peak)
    peak = _rate(at_peak)
    base = _BASE_SHARE * peak
    phases = [(base, around_s), (multiple * peak, seconds), (base, max(around_s, 3))]
    with HealthProbe(port, pid) as probe:
        found = ask(port, phases, scratch, first_number=1_000_000)
    before, during, after = ([one for one in found if one.phase == n] for n in range(3))
    return Overload(
        at_peak,
        before,
        during,
        after,
        cpu_at_peak,
        probe.cpu_of(during),
        probe.health_of(during),
        probe.health_of(before) + probe.health_of(after),
        probe.failures,
    )


def times(seconds: Iterable[Second], status: int) -> list[float]:
    """Give the seconds that calls with a status took."""
    return [one for second in seconds for one in second.times.get(status, [])]


def quantile(seconds: Sequence[float], share: float) -> float:
    """Give a quantile; 0 of nothing."""
    return sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)] if seconds else 0.0


def described(found: Overload) -> str:
    """Say what was measured."""
    refused, dropped = times(found.during, EXHAUSTED), times(found.during, CANCELLED)
    sent = sum(second.sent for second in found.during)
    pushed = sum(second.pushed_back for second in found.during)
    rest = sent - len(times(found.during, OK)) - len(refused) - len(dropped)
    lines = [
        f"peak {found.peak:,.0f}/s, asked for {sent / len(found.during):,.0f}/s",
        _goodput(found),
        _line("answered", times(found.during, OK)),
        f"{_line('RESOURCE_EXHAUSTED', refused)}, {pushed:,} with pushback",
        _line("CANCELLED by gRPC's core", dropped),
        f"anything else {rest:,}",
        f"{_line('health', found.health)}, {found.health_failures} failures",
        _line("health before and after", found.calm_health),
        f"{_line('baseline before', times(found.before, OK))}",
        f"{_line('baseline after', times(found.after, OK))}",
        f"baseline again after {found.seconds_to_baseline:g} s",
    ]
    return "\n".join(lines)


def _goodput(found: Overload) -> str:
    of_clock, of_cpu = found.goodput / found.peak, found.goodput_of_cpu
    rate = f"goodput {found.goodput:,.0f}/s"
    return f"{rate}, {of_clock:.0%} of the peak; {of_cpu:.0%} by processor time"


def _rate(seconds: Sequence[Second]) -> float:
    return len(times(seconds, OK)) / len(seconds)


def _span(seconds: Sequence[Second]) -> tuple[float, float]:
    return seconds[0].began, seconds[-1].began + 1.0


def _line(name: str, seconds: Sequence[float]) -> str:
    cuts = " ".join(f"p{s * 100:g} {quantile(seconds, s) * 1e3:.1f}" for s in (0.5, 0.99, 1.0))
    return f"{name} {len(seconds):,}: {cuts} ms"


def _request(session: int) -> bytes:
    seen = event("item_view", items=[item("sku-1", price="19.99")], event_id=NUMBER.decode())
    return score_request(f"s{session}", [seen], anonymous_id=f"b{session}").SerializeToString()


def _second(read: dict[str, object]) -> Second:
    second = Second(**read)  # type: ignore[arg-type] # as it was written
    second.times = {int(status): taken for status, taken in second.times.items()}
    return second


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="folder of the bundle store")
    parser.add_argument("--bundle", default="shop:latest")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--times", type=float, default=3.0)
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        served = Served(given.store, given.bundle, None) if given.store else simulated(scratch)
        settings: dict[str, str | Path | float] = {
            "bundle": served.bundle,
            "bundle_store": served.store,
            "feature_store": served.features or "",
            "state_dir": scratch / "state",
        }
        with ServerProcess(settings, scratch / "server.log") as server:
            port = int(server.address.rsplit(":", 1)[1])
            found = overload(port, server.pid, scratch, seconds=given.seconds, multiple=given.times)
    print(described(found))


if __name__ == "__main__":
    main()

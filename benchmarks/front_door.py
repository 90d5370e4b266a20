"""What a call costs over HTTP: `python -m benchmarks.front_door [--rounds N] [--calls N]`.

The same requests to `micromoment serve-http` and `micromoment serve`, in turn, round by round, one
in flight, each over one open connection. Without a bundle a simulated shop's is trained first.
Prints the median over the rounds [min, max] and the servers' CPU time per call.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import psutil
from google.protobuf import json_format

from benchmarks.latency import Served, simulated
from micromoment.client import event, item, score_request
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from training.server_process import HttpServerProcess, ServerProcess

VISIT_EVENTS = 20
KINDS = ("page_view", "list_view", "item_view", "item_view", "cart_add")
NO_PROXY = (("grpc.enable_http_proxy", 0),)

Call = Callable[[pb.ScoreRequest], object]


@dataclass
class Rounds:
    """What each round measured, in milliseconds."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, seconds: list[float], cpu_s: float) -> None:
        """Add a round: the time of each call, and the server's CPU time for all."""
        cuts = statistics.quantiles(seconds, n=100)
        self.p50.append(cuts[49] * 1e3)
        self.p99.append(cuts[98] * 1e3)
        self.cpu.append(cpu_s / len(seconds) * 1e3)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="folder of the bundle store")
    parser.add_argument("--bundle", default="shop:latest")
    parser.add_argument("--features", type=Path, help="feature workspace")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=400)
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        scratch = Path(temporary)
        if given.store:
            served = Served(given.store, given.bundle, given.features)
        else:
            served = simulated(scratch)
        servers: dict[str, ServerProcess] = {}
        for name, kind in (("gRPC", ServerProcess), ("HTTP", HttpServerProcess)):
            server = kind(_settings(served, scratch / name), scratch / f"{name}.log")
            servers[name] = stack.enter_context(server)
        channel = stack.enter_context(grpc.insecure_channel(servers["gRPC"].address, NO_PROXY))
        connection = HTTPConnection(servers["HTTP"].address)
        stack.callback(connection.close)
        calls: dict[str, Call] = {
            "gRPC": ScoringServiceStub(channel).Score,
            "HTTP": lambda request: _post(connection, request),
        }
        _compare(calls, servers, given.rounds, given.calls)


def _post(connection: HTTPConnection, request: pb.ScoreRequest) -> bytes:
    body = json_format.MessageToJson(request, indent=None)
    connection.request("POST", "/v1/score", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    reply = answer.read()
    assert answer.status == 200, reply
    return reply


def _compare(
    calls: dict[str, Call], servers: dict[str, ServerProcess], rounds: int, number: int
) -> None:
    results = {name: Rounds() for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            before = _cpu_s(servers[name])
            times = []
            for place in range(number):
                request = _request(round_ * number + place)
                started = time.perf_counter()
                call(request)
                times.append(time.perf_counter() - started)
            if round_ > 0:  # the first warms all up
                results[name].add(times, _cpu_s(servers[name]) - before)
    print(f"{rounds} rounds of {number} calls, one in flight; ms")
    for name, result in results.items():
        print(
            f"{name}  p50 {_summary(result.p50)}   p99 {_summary(result.p99)}"
            f"   CPU of the server {_summary(result.cpu)}"
        )
    pairs = zip(results["HTTP"].p50, results["gRPC"].p50, strict=True)
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"p50 of HTTP over gRPC's, the client's JSON included: {ratio:.2f}")


def _request(place: int) -> pb.ScoreRequest:
    visit, step = divmod(place, VISIT_EVENTS)
    one = event(
        KINDS[step % len(KINDS)],
        items=[item(f"sku-{place % 500}", category=("a", "b"), price="19.99", quantity=1)],
        page=f"/products/{place % 500}",
        page_type="item",
        device="mobile",
    )
    return score_request(f"visit-{visit}", [one], anonymous_id=f"browser-{visit}")


def _settings(served: Served, folder: Path) -> dict[str, str | Path | float]:
    return {
        "bundle": served.bundle,
        "bundle_store": served.store,
        "feature_store": served.features or "",
        "state_dir": folder,
        "drain_lag": 0,
    }


def _summary(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def _cpu_s(server: ServerProcess) -> float:
    used = psutil.Process(server.pid).cpu_times()
    return float(used.user + used.system)


if __name__ == "__main__":
    main()

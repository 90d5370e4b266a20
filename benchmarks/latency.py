"""How long one `Score` with one event takes, with one call in flight, beside an empty gRPC call.

    python -m benchmarks.latency [--store FOLDER --bundle NAME:VERSION] [--features FOLDER]
        [--rounds N] [--calls N] [--redis redis://...]

Both servers run in processes of their own and are called in turn, round by round, by one client
with messages of the same sizes. With `--redis` a third server keeps its sessions there, under keys
of its own. Without a bundle a simulated shop's is trained first. Prints the
median over the rounds [min, max]; the ratio is that of the rounds' own p50s.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import grpc

from benchmarks.echo_server import METHOD
from micromoment.client import event, item, score_request
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from training.server_process import ServerProcess

VISIT_EVENTS = 20
KINDS = ("page_view", "list_view", "item_view", "item_view", "cart_add")
OPTIONS = (("grpc.enable_http_proxy", 0),)


@dataclass(frozen=True)
class Served:
    """Which bundle to measure, from which store, with which user features."""

    store: Path
    bundle: str
    features: Path | None
    redis: str = ""


@dataclass
class Rounds:
    """Quantiles of each round, in milliseconds."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def add(self, seconds: list[float]) -> None:
        """Add a round."""
        cuts = statistics.quantiles(seconds, n=100)
        self.p50.append(cuts[49] * 1e3)
        self.p99.append(cuts[98] * 1e3)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="folder of the bundle store")
    parser.add_argument("--bundle", default="shop:latest")
    parser.add_argument("--features", type=Path, help="feature workspace")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--redis", default="", help="measure a server with its sessions there, too")
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        if given.store:
            served = Served(given.store, given.bundle, given.features)
        else:
            served = simulated(scratch)
        _run(replace(served, redis=given.redis), scratch, given.rounds, given.calls)


def simulated(scratch: Path) -> Served:
    """Train a simulated shop's bundle below `scratch`."""
    # Feast and the learners take seconds to import and are needed here alone.
    from training.demo import prepare_events  # noqa: PLC0415
    from training.pipeline import TrainRequest, train  # noqa: PLC0415
    from training.progress import Steps  # noqa: PLC0415

    steps = Steps()
    events = prepare_events(scratch, steps)
    store, workspace = scratch / "bundles", scratch / "features"
    report = train(
        TrainRequest(events=events, workspace=workspace, name="shop", store=store), steps
    )
    return Served(store, report.tag, workspace)


def _run(served: Served, scratch: Path, rounds: int, calls: int) -> None:
    with ExitStack() as stack:
        kinds = {"Score": "", "Score, Redis": served.redis} if served.redis else {"Score": ""}
        measured: dict[str, Callable[[pb.ScoreRequest], pb.ScoreResponse]] = {}
        for name, store in kinds.items():
            server = ServerProcess(_settings(served, scratch, store), scratch / "server.log")
            stack.enter_context(server)
            channel = stack.enter_context(grpc.insecure_channel(server.address, options=OPTIONS))
            measured[name] = ScoringServiceStub(channel).Score
        reply = measured["Score"](a_request(0))
        address = stack.enter_context(_echo_server(reply))
        other = stack.enter_context(grpc.insecure_channel(address, OPTIONS))
        measured["empty call"] = other.unary_unary(
            METHOD, pb.ScoreRequest.SerializeToString, pb.ScoreResponse.FromString
        )
        _compare(measured, rounds, calls)


def _settings(served: Served, scratch: Path, sessions: str) -> dict[str, str | Path | float]:
    return {
        "bundle": served.bundle,
        "bundle_store": served.store,
        "feature_store": served.features or "",
        "state_dir": scratch / "state",
        "session_store": sessions,
        "session_prefix": f"benchmark-{uuid4().hex}:",
        "session_ttl": 600,
        "log_retention": 600,
        "drain_lag": 0,
    }


@contextmanager
def _echo_server(reply: pb.ScoreResponse) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.echo_server", reply.SerializeToString().hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def _compare(
    measured: dict[str, Callable[[pb.ScoreRequest], pb.ScoreResponse]], rounds: int, calls: int
) -> None:
    results = {name: Rounds() for name in measured}
    place = 1
    for number in range(rounds + 1):
        requests = [a_request(place + call) for call in range(calls)]
        place += calls
        for name, call in measured.items():
            times = _times(call, requests)
            if number > 0:  # the first round warms all up
                results[name].add(times)
    empty = results["empty call"]
    print(f"{rounds} rounds of {calls} calls, one in flight, visits of {VISIT_EVENTS} events")
    for name, result in results.items():
        ratios = [mine / other for mine, other in zip(result.p50, empty.p50, strict=True)]
        print(
            f"{name:13} p50 {_summary(result.p50)} ms   p99 {_summary(result.p99)} ms"
            f"   p50 over empty {_summary(ratios)}"
        )


def _times(
    call: Callable[[pb.ScoreRequest], pb.ScoreResponse], requests: list[pb.ScoreRequest]
) -> list[float]:
    times = []
    for request in requests:
        started = time.perf_counter()
        call(request)
        times.append(time.perf_counter() - started)
    return times


def a_request(place: int) -> pb.ScoreRequest:
    """Make the request at a place of many visits, one after the other."""
    visit, step = divmod(place, VISIT_EVENTS)
    one = event(
        KINDS[step % len(KINDS)],
        items=[item(f"sku-{place % 500}", category=("a", "b"), price="19.99", quantity=1)],
        page=f"/products/{place % 500}",
        page_type="item",
        device="mobile",
    )
    return score_request(f"visit-{visit}", [one], anonymous_id=f"browser-{visit}")


def _summary(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


if __name__ == "__main__":
    main()

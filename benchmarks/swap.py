"""What swapping bundles costs the calls meanwhile: p99 of `Score` with swaps over without.

    python -m benchmarks.swap [--store FOLDER --bundle NAME:VERSION] [--rounds N] [--seconds S]
        [--rate N] [--every S] [--swaps N]

One server; new events of 200 visits come at a constant rate, whether or not answers do. Rounds of
`--seconds` with a swap every `--every` seconds and without any take turns. Then bundles are swapped
until there were `--swaps`, for the memory. The two bundles are one and its twin: the same models
under another version, so that answers cost the same. A call that fails ends the run. Prints the
median over the rounds [min, max]; the ratio is that of each pair of rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import grpc
import psutil
import uvloop

from benchmarks.latency import KINDS, simulated
from micromoment.client import event, item, score_request
from micromoment.scoring.manifest import read_manifest, write_manifest
from micromoment.stores.bundles import find_bundle, tag_of
from micromoment.v1 import models_pb2
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.models_pb2_grpc import ModelServiceStub
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from training.server_process import ServerProcess, free_port

if TYPE_CHECKING:
    from micromoment.v1.scoring_pb2_grpc import ScoringServiceAsyncStub

OPTIONS = (("grpc.enable_http_proxy", 0),)
VISITS = 200
# What a server takes once, whatever is swapped, is there after so many swaps.
SETTLED = 10
_MB = 1_000_000


@dataclass
class Swaps:
    """Swaps between two bundles through the admin port, one after the other."""

    address: str
    tags: tuple[str, str]
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    async def one(self, server: psutil.Process) -> None:
        """Let the other bundle answer; notes how long it took and the memory afterwards."""
        tag = self.tags[(len(self.seconds) + 1) % 2]
        async with grpc.aio.insecure_channel(self.address, options=OPTIONS) as channel:
            request = models_pb2.ActivateBundleRequest(bundle=tag)
            reply = await ModelServiceStub(channel).ActivateBundle(request)
        assert reply.changed
        self.seconds.append(reply.duration.ToTimedelta().total_seconds())
        self.memory.append(server.memory_info().rss)


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="folder of the bundle store")
    parser.add_argument("--bundle", default="shop:latest")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a round")
    parser.add_argument("--rate", type=int, default=200, help="calls a second")
    parser.add_argument("--every", type=float, default=2.0, help="seconds from swap to swap")
    parser.add_argument("--swaps", type=int, default=100, help="all in all, for the memory")
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        store, bundle = given.store, given.bundle
        if store is None:
            served = simulated(scratch)
            store, bundle = served.store, served.bundle
        tags = with_twin(store, bundle, scratch / "twins")
        admin_port = free_port()
        settings: dict[str, str | Path | float] = {
            "bundle": tags[0],
            "bundle_store": scratch / "twins",
            "admin_port": admin_port,
            "state_dir": scratch / "state",
            "drain_lag": 0,
        }
        with ServerProcess(settings, scratch / "server.log") as server:
            swaps = Swaps(f"127.0.0.1:{admin_port}", tags)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_measure(server, swaps, given))


def with_twin(store: Path, bundle: str, folder: Path) -> tuple[str, str]:
    """Copy a bundle into a store of its own, and once more under another version."""
    origin = find_bundle(store, bundle)
    tags = []
    for number in range(2):
        copy = folder / origin.parent.name / f"draft-{number}"
        shutil.copytree(origin, copy)
        manifest = read_manifest(copy)
        manifest = manifest.model_copy(update={"training": {**manifest.training, "twin": number}})
        write_manifest(copy, manifest)
        tags.append(tag_of(copy.rename(copy.with_name(manifest.version))))
    return tags[0], tags[1]


async def _measure(server: ServerProcess, swaps: Swaps, given: argparse.Namespace) -> None:
    process = psutil.Process(server.pid)
    requests = _requests()
    without: list[list[float]] = []
    swapped: list[list[float]] = []
    async with grpc.aio.insecure_channel(server.address, options=OPTIONS) as channel:
        stub: ScoringServiceAsyncStub = ScoringServiceStub(channel)
        await _calls(stub, requests, given.rate, 2.0)
        for _ in range(given.rounds):
            without.append(await _calls(stub, requests, given.rate, given.seconds))
            enough = asyncio.Event()
            swapping = asyncio.create_task(_keep_swapping(swaps, process, given.every, enough))
            swapped.append(await _calls(stub, requests, given.rate, given.seconds))
            enough.set()
            await swapping
        print(f"{given.rate} calls a second, {len(swaps.seconds)} swaps in {given.rounds} rounds")
        _print_times(without, swapped)
        while len(swaps.seconds) < given.swaps:
            await swaps.one(process)
    _print_swaps(swaps)


async def _keep_swapping(
    swaps: Swaps, process: psutil.Process, every_s: float, enough: asyncio.Event
) -> None:
    due = time.monotonic()
    while not enough.is_set():
        await swaps.one(process)
        due = max(due + every_s, time.monotonic())
        with suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), due - time.monotonic())


async def _calls(
    stub: ScoringServiceAsyncStub, requests: Iterator[pb.ScoreRequest], rate: int, seconds: float
) -> list[float]:
    """Call at a constant rate; gives each call's seconds from when it was due."""
    started = time.perf_counter()
    calls = []
    for number in range(round(rate * seconds)):
        due = started + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        calls.append(asyncio.create_task(_timed(stub, next(requests), due)))
    return list(await asyncio.gather(*calls))


async def _timed(stub: ScoringServiceAsyncStub, request: pb.ScoreRequest, due: float) -> float:
    await stub.Score(request, timeout=10.0)
    return time.perf_counter() - due


def _requests() -> Iterator[pb.ScoreRequest]:
    for number in count():
        visit, place = number % VISITS, number // VISITS
        one = event(
            KINDS[place % len(KINDS)],
            event_id=f"e{number}",
            items=[item(f"sku-{number % 50}", price="19.99", quantity=1)],
            page=f"/p/{number % 20}",
        )
        yield score_request(f"visit-{visit}-{place // 20}", [one], anonymous_id=f"visitor-{visit}")


def _print_times(without: list[list[float]], swapped: list[list[float]]) -> None:
    print(f"{'ms, median [min, max]':<24}{'p50':>22}{'p99':>22}{'longest':>24}")
    for name, rounds in (("without", without), ("with swaps", swapped)):
        cuts = [statistics.quantiles(one, n=100) for one in rounds]
        columns = ([cut[49] for cut in cuts], [cut[98] for cut in cuts], [*map(max, rounds)])
        print(f"{name:<24}" + "".join(f"{_spread(one, 1e3):>22}" for one in columns))
    ratios = [
        statistics.quantiles(some, n=100)[98] / statistics.quantiles(none, n=100)[98]
        for none, some in zip(without, swapped, strict=True)
    ]
    print(f"p99 with swaps over without: {_spread(ratios, 1.0)}")


def _print_swaps(swaps: Swaps) -> None:
    settled, last = swaps.memory[min(SETTLED, len(swaps.memory)) - 1], swaps.memory[-1]
    print(f"a swap: {_spread(swaps.seconds, 1.0)} s")
    print(
        f"memory after {len(swaps.memory)} swaps: {last / _MB:.0f} MB, "
        f"{(last - settled) / _MB:+.1f} MB since the {SETTLED}th, "
        f"{(last - swaps.memory[0]) / _MB:+.1f} MB since the first"
    )


def _spread(values: list[float], scale: float) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle * scale:.2f} [{low * scale:.2f}, {high * scale:.2f}]"


if __name__ == "__main__":
    main()

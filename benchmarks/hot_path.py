"""Where the microseconds of one `Score` go inside the server, part by part, gRPC aside.

    python -m benchmarks.hot_path [--store FOLDER --bundle NAME:VERSION] [--visits N]

Runs in one process what the server runs for a call: from the request's bytes to the reply's, with
sessions in memory. Each part is timed while whole calls of many visits go through, since a part
that is run again and again by itself finds its code and the trees in the nearest caches and takes
half as long. Prints the median over all calls [10 %, 90 %] and each part's share; what the parts
leave of the whole is Python between them. Without a bundle a simulated shop's is trained first.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import numpy as np

from benchmarks.latency import VISIT_EVENTS, a_request, simulated
from micromoment.events.identity import IdEncoder
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserLookup, UserStatus
from micromoment.scoring import point_judge, scorer
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.scorer import Scorer
from micromoment.stores.absent import NoEventLog, NoVisitLog
from micromoment.stores.bundles import find_bundle
from micromoment.stores.sessions import MemorySessionStore
from micromoment.telemetry.metrics import Metrics
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.encoding import ReplyEncoder
from micromoment.transport.scoring_service import ScoringService
from micromoment.transport.visitors import Visitors
from micromoment.transport.visits import Visits
from micromoment.v1 import scoring_pb2 as pb

_WARM_UP: Final = 1_000
_NEVER_US: Final = 10**15
_WHOLE: Final = "all, gRPC aside"


class Stopwatch:
    """Times parts of calls; what a part calls counts with it."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def of(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Give `work` with its time taken."""
        seconds = self.seconds.setdefault(part, [])

        def timed(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - of any work
            started = perf_counter()
            result = work(*arguments, **named)
            seconds.append(perf_counter() - started)
            return result

        return timed

    def watch(self, part: str, owner: Any, name: str) -> None:  # noqa: ANN401 - an object or module
        """Time a method or function wherever it is called through `owner`."""
        setattr(owner, name, self.of(part, getattr(owner, name)))


class KnownUsers:
    """Knows every visitor, and nothing of them."""

    _answer: Final = UserLookup(UserStatus.FOUND, np.zeros(1, USER_SNAPSHOT))

    async def look_up(self, _visitor_id: str) -> UserLookup:
        """Answer at once."""
        return self._answer

    def warm_up(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="folder of the bundle store")
    parser.add_argument("--bundle", default="shop:latest")
    parser.add_argument("--visits", type=int, default=1_000)
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as scratch:
        store, bundle = given.store, given.bundle
        if store is None:
            served = simulated(Path(scratch))
            store, bundle = served.store, served.bundle
        seconds = asyncio.run(_measure(find_bundle(store, bundle), given.visits))
    _print(seconds)


async def _measure(folder: Path, visits: int) -> dict[str, list[float]]:
    bundle = load_bundle(folder)
    metrics = Metrics()
    sessions = MemorySessionStore(visits + 1, 3_600.0)
    judge_of = Scorer(bundle, max_user_feature_age_us=_NEVER_US)
    decoder = RequestDecoder(bundle.shop, IdEncoder(()))
    encoder = _Encoder(bundle.feature_names, bundle.fingerprint)
    visits_of = Visits(judge_of, sessions, Visitors(KnownUsers(), 1.0, metrics), metrics)
    slot = ApplicationSlot()
    slot.fill(Application(decoder, encoder, visits_of, NoEventLog(), NoVisitLog()))
    service = ScoringService(slot, metrics, None)  # type: ignore[arg-type] # no stream comes
    watch = Stopwatch()
    parse = watch.of("parse the request (protobuf)", pb.ScoreRequest.FromString)
    serialize = watch.of("serialize the reply (protobuf)", pb.ScoreResponse.SerializeToString)
    _watch_parts(watch, judge_of, sessions)
    call = watch.of(_WHOLE, lambda data: serialize(service.start(parse(data))))
    for number in range(visits * VISIT_EVENTS):
        data = a_request(number).SerializeToString()
        if number % VISIT_EVENTS == 0:
            await service.start(pb.ScoreRequest.FromString(data))  # type: ignore[misc] # it waits
        else:
            call(data)
    return watch.seconds


class _Encoder(ReplyEncoder):
    """An encoder whose methods can be replaced."""


def _watch_parts(watch: Stopwatch, scoring: Scorer, sessions: MemorySessionStore) -> None:
    watch.watch("decode: limits, ids, records", RequestDecoder, "score_call")
    watch.watch("session: read", sessions, "get")
    watch.watch("session: is the visitor needed", scoring, "needs_user")
    watch.watch("score, all of it", scoring, "score")
    watch.watch("  fold and describe", scoring._folder, "run")
    watch.watch("  conversion's trees (LightGBM)", scoring._judge, "_predict_conversion")
    watch.watch("  churn's trees (LightGBM)", scoring._judge, "_predict_churn")
    watch.watch("  calibration, cluster, audiences", point_judge, "judge_points")
    watch.watch("  settle, read the state", scorer, "answer_points")
    watch.watch("session: keep", sessions, "put")
    watch.watch("encode", _Encoder, "score_response")


def _print(seconds: dict[str, list[float]]) -> None:
    whole = median(seconds[_WHOLE][_WARM_UP:])
    print(f"{'part':34} {'us':>6} {'[10 %, 90 %]':>16} {'share':>6}")
    for part, times in seconds.items():
        later = times[_WARM_UP:]
        middle, cuts = median(later), quantiles(later, n=10)
        spread = f"[{cuts[0] * 1e6:.1f}, {cuts[-1] * 1e6:.1f}]"
        print(f"{part:34} {middle * 1e6:6.1f} {spread:>16} {middle / whole:6.0%}")


if __name__ == "__main__":
    main()

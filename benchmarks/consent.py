"""What consent costs a `Score` inside the server, gRPC aside, with sessions in memory.

    python -m benchmarks.consent [--calls N]

Four kinds of calls go in turn through one server in this process, each of one event: what says
nothing of consent, the common case and the baseline; what grants all in its request; what denies
personalization; what denies analytics. Then the parts that every call passes are timed by
themselves. Prints medians, and each as a ratio to the baseline of the same run.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final, cast

from benchmarks.hot_path import KnownUsers
from benchmarks.latency import a_request
from micromoment.client import consent
from micromoment.events.identity import IdEncoder
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.scorer import Scorer
from micromoment.stores.absent import NoEventLog, NoVisitLog
from micromoment.stores.bundles import find_bundle
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.withdrawals import MemoryWithdrawals
from micromoment.stores.withdrawn_sessions import WithdrawnSessions
from micromoment.telemetry.metrics import Metrics
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.consent import GRANTED
from micromoment.transport.consent_gate import ConsentGate
from micromoment.transport.decoding import RequestDecoder, now_us
from micromoment.transport.encoding import ReplyEncoder
from micromoment.transport.scoring_service import ScoringService
from micromoment.transport.visitors import Visitors
from micromoment.transport.visits import Visits
from micromoment.v1 import scoring_pb2 as pb
from tests.support.tiny_bundle import make_tiny_store

_WARM_UP: Final = 300
_NEVER_US: Final = 10**15
_REPEATS: Final = 20_000
_KINDS: Final = {
    "says nothing": None,
    "grants all": consent(analytics="granted", personalization="granted", ads="granted"),
    "denies personalization": consent(analytics="granted", personalization="denied"),
    "denies analytics": consent(analytics="denied"),
}


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=5_000)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        make_tiny_store(Path(folder))
        asyncio.run(_measure(find_bundle(Path(folder), "shop:latest"), given.calls))


async def _measure(folder: Path, calls: int) -> None:
    bundle = load_bundle(folder)
    metrics = Metrics()
    sessions = MemorySessionStore(calls * 5, 3_600.0)
    withdrawn = WithdrawnSessions(3_600.0)
    gate = ConsentGate(GRANTED, withdrawn, bundle.shop)
    scorer = Scorer(bundle, max_user_feature_age_us=_NEVER_US)
    decoder = RequestDecoder(bundle.shop, IdEncoder(()))
    visits = Visits(
        scorer,
        sessions,
        Visitors(KnownUsers(), 1.0, metrics),
        metrics,
        consent=gate,
        withdrawals=MemoryWithdrawals(
            sessions, NoVisitLog(), withdrawn, erases=True, clock_us=now_us
        ),
    )
    slot = ApplicationSlot()
    encoder = ReplyEncoder(bundle.feature_names, bundle.fingerprint)
    slot.fill(Application(decoder, encoder, visits, NoEventLog(), NoVisitLog()))
    service = ScoringService(slot, metrics, None)  # type: ignore[arg-type] # no stream comes
    seconds: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for number in range(calls):
        for kind, said in _KINDS.items():
            request = a_request(number)
            request.session_id = f"{kind} {request.session_id}"
            if said is not None:
                request.consent.CopyFrom(said)
            data = request.SerializeToString()
            started = perf_counter()
            answer: Any = service.start(pb.ScoreRequest.FromString(data))
            if not isinstance(answer, pb.ScoreResponse):
                answer = await answer
            cast(pb.ScoreResponse, answer).SerializeToString()
            seconds[kind].append(perf_counter() - started)
    base = median(seconds["says nothing"][_WARM_UP:])
    print(f"{'a call that':34} {'us':>7} {'ratio':>6}")
    for kind, times in seconds.items():
        middle = median(times[_WARM_UP:])
        print(f"{kind:34} {middle * 1e6:7.1f} {middle / base:6.2f}")
    _print_parts(decoder, gate, a_request(1), base)


def _print_parts(
    decoder: RequestDecoder, gate: ConsentGate, request: pb.ScoreRequest, base: float
) -> None:
    visit = decoder.score_call(request)
    parts: dict[str, Callable[[], object]] = {
        "does the request say anything": lambda: request.HasField("consent"),
        "is it held back": lambda: gate.holds_back(visit),
    }
    print(f"\n{'part of a call that says nothing':34} {'ns':>7} {'share':>6}")
    for part, work in parts.items():
        started = perf_counter()
        for _ in range(_REPEATS):
            work()
        each = (perf_counter() - started) / _REPEATS
        print(f"{part:34} {each * 1e9:7.0f} {each / base:6.1%}")


if __name__ == "__main__":
    main()

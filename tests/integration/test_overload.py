"""What a server refuses while more calls come than it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from micromoment.client import event, score_request
from micromoment.events.record import EventBatch
from micromoment.scoring.calls import ScoreCall
from micromoment.scoring.scorer import Folded
from micromoment.scoring.sessions import SessionEntry
from micromoment.telemetry.metrics import Metrics
from micromoment.transport.statuses import RETRY_DELAY_MS
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.support.serving import CountingScorer, RunningServer, a_server, an_application

SHARE = 0.25


@asynccontextmanager
async def an_overloaded_server(
    scorer: CountingScorer | None = None, metrics: Metrics | None = None
) -> AsyncIterator[RunningServer]:
    """Serve as if the watch had found that a quarter of all calls must go."""
    async with a_server(an_application(scorer), observer=metrics) as server:
        server.server.watch.stop()
        server.server.watch.shedding.share = SHARE
        yield server


async def ended(call: Any) -> grpc.aio.AioRpcError | None:  # noqa: ANN401 - of any method
    """Give the error that a call ends with, if any."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    return None


def trailers_of(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    """Give the metadata at a call's end."""
    metadata: Any = error.trailing_metadata()
    return dict(metadata)


async def test_a_share_is_refused_before_it_is_read_and_told_when_to_come_back() -> None:
    """Evenly; as a trailer of gRPC's and as RetryInfo, and nothing of it reaches the scorer."""
    scorer, metrics = CountingScorer(), Metrics()
    async with an_overloaded_server(scorer, metrics) as server, server.channel() as channel:
        stub = ScoringServiceStub(channel)
        requests = [score_request(f"s{n}", [event("page_view")]) for n in range(100)]
        errors = [error for one in requests if (error := await ended(stub.Score(one)))]
    assert len(errors) == 100 * SHARE
    assert len(scorer.calls) == 100 - len(errors)
    trailers = trailers_of(errors[0])
    status = Status.FromString(trailers["grpc-status-details-bin"])
    info, retry = ErrorInfo(), RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert errors[0].code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert info.reason == "OVERLOADED"
    assert trailers["grpc-retry-pushback-ms"] == str(RETRY_DELAY_MS)
    assert retry.retry_delay.ToMilliseconds() == RETRY_DELAY_MS
    refused = {"method": "Score", "reason": "max_wait"}
    assert metrics.registry.get_sample_value("micromoment_refused_total", refused) == len(errors)
    counted = {"method": "Score", "code": "RESOURCE_EXHAUSTED"}
    ended_so = metrics.registry.get_sample_value("micromoment_call_seconds_count", counted)
    assert ended_so == len(errors)


async def test_arrivals_are_known_of_a_server_that_has_stopped() -> None:
    """Metrics may still be read then."""
    async with a_server(an_application()) as server, server.channel() as channel:
        stub = ScoringServiceStub(channel)
        for number in range(3):
            await stub.Score(score_request(f"s{number}", [event("page_view")]))
    assert server.server.arrivals.count() == 3


async def test_health_is_never_refused() -> None:
    """Nor is anything else that is not ours."""
    async with an_overloaded_server() as server, server.channel() as channel:
        server.server.watch.shedding.share = 1.0
        stub = health_pb2_grpc.HealthStub(channel)
        replies = [await stub.Check(health_pb2.HealthCheckRequest()) for _ in range(20)]
    assert [reply.status for reply in replies] == [health_pb2.HealthCheckResponse.SERVING] * 20


@pytest.mark.parametrize("kind", ["batch", "explain"])
async def test_what_costs_more_is_refused_rather(kind: str) -> None:
    """A batch, and a call that asks for reasons, take the time of many calls."""
    async with an_overloaded_server() as server, server.channel() as channel:
        stub = ScoringServiceStub(channel)
        request = score_request("s1", [event("page_view")], explain=kind == "explain")
        if kind == "batch":
            error = await ended(stub.BatchScore(pb.BatchScoreRequest(requests=[request] * 64)))
        else:
            error = await ended(stub.Score(request))
    assert error is not None
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-retry-pushback-ms" in trailers_of(error)


async def test_requests_on_a_stream_are_refused_alike() -> None:
    """Each in its answer's place; the stream goes on."""
    async with an_overloaded_server() as server, server.channel() as channel:
        stub: Any = ScoringServiceStub(channel)
        stream = stub.StreamScores()
        codes = []
        for number in range(40):
            request = score_request(f"s{number}", [event("page_view")])
            await stream.write(pb.StreamScoresRequest(request_id=str(number), request=request))
            codes.append((await stream.read()).status.code)
        await stream.done_writing()
    assert 8 <= codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]) <= 12
    assert codes.count(0) + codes.count(8) == 40


class WorkingScorer(CountingScorer):
    """Takes half a millisecond for a visit, and needs no visitor."""

    def needs_user(self, _entry: SessionEntry | None, _batch: EventBatch) -> bool:
        """Say no, so that every call is answered at once."""
        return False

    def fold(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Folded:
        """Work, then count."""
        time.sleep(0.0005)
        return super().fold(call, entry, lost=lost)


async def test_calls_are_answered_between_the_parts_of_a_batch() -> None:
    """One after the other, while 500 visits are scored; without a pause it would be two."""
    scorer = WorkingScorer()
    async with a_server(an_application(scorer)) as server, server.channel() as channel:
        stub = ScoringServiceStub(channel)
        requests = [score_request(f"b{n}", [event("page_view")]) for n in range(500)]
        batch = asyncio.ensure_future(stub.BatchScore(pb.BatchScoreRequest(requests=requests)))
        await asyncio.sleep(0.02)
        assert scorer.calls
        answered = 0
        while not batch.done():
            await stub.Score(score_request(f"s{answered}", [event("page_view")]))
            answered += 1
        await batch
    assert answered > 6

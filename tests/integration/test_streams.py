"""StreamScores on a real server: order, answers while others wait, back pressure, ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from prometheus_client import generate_latest

from micromoment.client import event
from micromoment.telemetry.metrics import Metrics
from micromoment.transport.streams import MAX_IN_FLIGHT
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.support.serving import CountingScorer, RunningServer, SlowUsers, a_server, an_application

METHOD = "/micromoment.v1.ScoringService/StreamScores"


def asked(request_id: str, session_id: str, *event_ids: str) -> pb.StreamScoresRequest:
    """Make a request with one page view for each id."""
    events = [event("page_view", event_id=event_id) for event_id in event_ids]
    request = pb.ScoreRequest(session_id=session_id, anonymous_id="a", events=events)
    return pb.StreamScoresRequest(request_id=request_id, request=request)


def opened(channel: grpc.aio.Channel) -> Any:  # noqa: ANN401 - grpc's call
    """Open a stream on a connection."""
    stub: Any = ScoringServiceStub(channel)
    return stub.StreamScores()


@asynccontextmanager
async def a_stream(server: RunningServer) -> AsyncIterator[Any]:
    """Open a stream."""
    async with server.channel() as channel:
        yield opened(channel)


async def answers_to(
    stream: Any,  # noqa: ANN401 - grpc's call
    requests: Sequence[pb.StreamScoresRequest],
) -> list[pb.StreamScoresResponse]:
    """Send requests, say that there are no more, and read all answers."""
    for request in requests:
        await stream.write(request)
    await stream.done_writing()
    return [answer async for answer in stream]


async def test_requests_of_a_session_are_answered_in_order() -> None:
    """Its first one waits for the visitor; those behind it neither overtake nor get lost."""
    users = SlowUsers(delay_s=0.1)
    requests = [asked(f"r{n}", "s1", f"e{n}") for n in range(20)]
    async with a_server(an_application(users=users)) as server, a_stream(server) as stream:
        answers = await answers_to(stream, requests)
    assert [answer.request_id for answer in answers] == [f"r{n}" for n in range(20)]
    assert [answer.response.events_seen for answer in answers] == list(range(1, 21))
    assert users.asked == ["a"]


async def test_other_sessions_do_not_wait() -> None:
    """A session that is known is answered while another waits for its visitor."""
    users = SlowUsers()
    async with a_server(an_application(users=users)) as server, a_stream(server) as stream:
        await stream.write(asked("r0", "known", "e0"))
        assert (await stream.read()).request_id == "r0"
        users.delay_s = 0.3
        await stream.write(asked("r1", "new", "e1"))
        await stream.write(asked("r2", "known", "e2"))
        assert (await stream.read()).request_id == "r2"
        assert (await stream.read()).request_id == "r1"


async def test_an_error_is_its_request_s_alone() -> None:
    """The stream goes on; the status names the field and never the value."""
    requests = [
        asked("r0", "s1", "e0"),
        asked("r1", ""),
        asked("r2", "s2"),
        asked("r3", "s1", "e1"),
        pb.StreamScoresRequest(request_id="r4"),
        asked("r" * 257, "s1", "e2"),
    ]
    async with a_server(an_application()) as server, a_stream(server) as stream:
        answers = {one.request_id: one for one in await answers_to(stream, requests)}
        assert await stream.code() is grpc.StatusCode.OK
    assert answers["r1"].status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert answers["r2"].status.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert answers["r3"].response.events_seen == 2
    for name, field in (("r4", "request"), ("r" * 257, "request_id")):
        (detail,) = (one for one in answers[name].status.details if one.Is(BadRequest.DESCRIPTOR))
        problem = BadRequest()
        detail.Unpack(problem)
        assert [one.field for one in problem.field_violations] == [field]


async def test_what_nobody_expected_is_internal_for_its_request() -> None:
    """The caller learns a correlation id and nothing else."""
    application = an_application(CountingScorer(failure=KeyError("jane@example.com")))
    async with a_server(application) as server, a_stream(server) as stream:
        (answer,) = await answers_to(stream, [asked("r0", "s1", "e0")])
    assert answer.status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "jane" not in str(answer)


async def test_each_request_is_admitted_and_counted() -> None:
    """A request that is one too many is refused, and metrics show the answers of streams."""
    metrics = Metrics()
    application = an_application(users=SlowUsers(delay_s=0.2), observer=metrics)
    async with (
        a_server(application, observer=metrics, max_concurrent=2) as server,
        a_stream(server) as stream,
    ):
        requests = [asked(f"r{n}", f"s{n}", f"e{n}") for n in range(4)]
        answers = await answers_to(stream, requests)
    refused = [one for one in answers if one.HasField("status")]
    assert {one.status.code for one in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]}
    assert len(refused) == 2
    shown = generate_latest(metrics.registry).decode()
    assert 'micromoment_call_seconds_count{code="OK",method="StreamScores"} 2.0' in shown


async def test_bytes_that_are_no_request_end_the_stream() -> None:
    """With INVALID_ARGUMENT, and the server goes on serving."""
    async with a_server(an_application()) as server, server.channel() as channel:
        method: Any = channel.stream_stream(METHOD, bytes, bytes)
        call = method()
        await call.write(b"\xff\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        stream = opened(channel)
        assert len(await answers_to(stream, [asked("r0", "s1", "e0")])) == 1


async def test_answers_come_before_the_error_that_ends_the_stream() -> None:
    """Bytes that are no request, right behind good ones: what was asked is answered, then told."""
    application = an_application(users=SlowUsers(delay_s=0.05))
    async with a_server(application, max_concurrent=100) as server, server.channel() as channel:
        method: Any = channel.stream_stream(METHOD, bytes, pb.StreamScoresResponse.FromString)
        for _ in range(20):
            call = method()
            for number in range(3):
                await call.write(asked(f"r{number}", f"s{number}", "e0").SerializeToString())
            await call.write(b"\xff\xff\xff")
            await call.done_writing()
            answers = [(await call.read()).request_id for _ in range(3)]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert sorted(answers) == ["r0", "r1", "r2"]


async def test_a_peer_that_never_reads_is_held_back() -> None:
    """No more than the limit is read of what it sends; when it leaves its place is free."""
    scorer = CountingScorer()
    # A peer that lets little be sent before it reads.
    options = (("grpc.http2.lookahead_bytes", 1), ("grpc.http2.bdp_probe", 0))
    async with a_server(an_application(scorer), stream_idle_s=0.2) as server:
        async with server.channel(options) as channel:
            stream = opened(channel)
            for number in range(1_000):
                request = asked(f"r{number}", "s1", f"e{number}")
                request.request.include_features = True
                await stream.write(request)
            await asyncio.sleep(0.5)
            assert server.streams_open == 1
        await asyncio.sleep(0.3)
        assert server.streams_open == 0
    assert MAX_IN_FLIGHT <= len(scorer.calls) < 2 * MAX_IN_FLIGHT


async def test_an_idle_stream_ends_without_an_error() -> None:
    """After the setting's time, when everything is answered."""
    async with (
        a_server(an_application(), stream_idle_s=0.2) as server,
        a_stream(server) as stream,
    ):
        await stream.write(asked("r0", "s1", "e0"))
        answers = [answer async for answer in stream]
        assert await stream.code() is grpc.StatusCode.OK
    assert [answer.request_id for answer in answers] == ["r0"]


async def test_one_stream_too_many_is_refused() -> None:
    """Open ones go on; when one ends there is room again."""
    async with a_server(an_application(), max_streams=1) as server, a_stream(server) as first:
        await first.write(asked("r0", "s1", "e0"))
        await first.read()
        async with a_stream(server) as second:
            assert await second.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "max_streams" in await second.details()
        await first.done_writing()
        assert await first.code() is grpc.StatusCode.OK
        async with a_stream(server) as third:
            assert len(await answers_to(third, [asked("r1", "s1", "e1")])) == 1


async def test_a_server_that_stops_answers_what_it_read() -> None:
    """What waits is answered, then the stream ends with OK, long before the grace is over."""
    application = an_application(users=SlowUsers(delay_s=0.3))
    async with a_server(application) as server, a_stream(server) as stream:
        await stream.write(asked("r0", "s1", "e0"))
        await asyncio.sleep(0.1)
        server.server.end_streams()
        answers = [answer async for answer in stream]
        assert await stream.code() is grpc.StatusCode.OK
    assert [answer.response.events_seen for answer in answers] == [1]


async def test_a_caller_that_leaves_takes_nothing_with_it() -> None:
    """A cancelled stream frees its place; what it asked and was folded stays folded."""
    async with a_server(an_application()) as server:
        async with a_stream(server) as stream:
            await stream.write(asked("r0", "s1", "e0"))
            await stream.read()
            stream.cancel()
        async with a_stream(server) as stream:
            (answer,) = await answers_to(stream, [asked("r1", "s1", "e1")])
        assert answer.response.events_seen == 2
        assert server.streams_open == 0


@pytest.mark.parametrize("sessions", [1, 7, 40])
async def test_many_sessions_share_a_stream(sessions: int) -> None:
    """Of four hundred requests none is lost or answered with another session's score."""
    requests = [asked(f"r{n}", f"s{n % sessions}", f"e{n}") for n in range(400)]
    async with a_server(an_application(), max_concurrent=500) as server, a_stream(server) as stream:
        sending = asyncio.create_task(answers_to(stream, requests))
        answers = await sending
    assert sorted(int(one.request_id[1:]) for one in answers) == list(range(400))
    for one in answers:
        number = int(one.request_id[1:])
        assert one.response.session_id == f"s{number % sessions}"
        assert one.response.events_seen == number // sessions + 1

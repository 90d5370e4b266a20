"""A real gRPC server and real connections, with a scorer that counts."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from micromoment.client import event, item
from micromoment.errors import InvalidSettingError
from micromoment.features.user_snapshot import UserStatus
from micromoment.transport.admission import Admission
from micromoment.transport.application import ApplicationSlot
from micromoment.transport.health import MAX_WATCHES
from micromoment.transport.observer import NoObserver
from micromoment.transport.server import MAX_REQUEST_BYTES, Limits, make_server
from micromoment.v1 import events_pb2, scoring_pb2
from micromoment.v1.events_pb2_grpc import EventServiceStub
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.support.serving import CountingScorer, RunningServer, SlowUsers, a_server, an_application


def a_request(session_id: str = "s1", *event_ids: str) -> scoring_pb2.ScoreRequest:
    """Make a request with one page view for each id."""
    events = [event("page_view", event_id=event_id) for event_id in event_ids]
    return scoring_pb2.ScoreRequest(session_id=session_id, anonymous_id="a", events=events)


def status_details(error: grpc.aio.AioRpcError) -> Status:
    """Read `google.rpc.Status` out of an error."""
    metadata: Any = error.trailing_metadata()
    for key, value in metadata:
        if key == "grpc-status-details-bin":
            return Status.FromString(value)
    raise AssertionError("no details")


async def raw_call(server: RunningServer, method: str, data: bytes) -> grpc.aio.AioRpcError:
    """Send bytes as they are and give the error that comes back."""
    async with server.channel() as channel:
        call = channel.unary_unary(method, bytes, bytes)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(data)
        return caught.value


async def test_a_score_proves_that_its_own_write_was_read() -> None:
    """The reply counts the request's events, names the last one and the bundle."""
    async with a_server(an_application()) as server, server.channel() as channel:
        stub = ScoringServiceStub(channel)
        await stub.Score(a_request("s1", "e1", "e2"))
        reply = await stub.Score(a_request("s1", "e2", "e3"))
    assert (reply.events_seen, reply.last_event_id, reply.duplicates) == (3, "e3", 1)
    assert (reply.session_id, reply.bundle) == ("s1", "shop:test")


async def test_every_answer_has_an_id_of_its_own() -> None:
    """Two answers have different score ids, the later one sorts behind."""
    async with a_server(an_application()) as server, server.channel() as channel:
        stub = ScoringServiceStub(channel)
        first = await stub.Score(a_request("s1", "e1"))
        second = await stub.Score(a_request("s1", "e2"))
    assert first.score_id < second.score_id


async def test_a_bad_request_names_the_field_and_not_its_value() -> None:
    """INVALID_ARGUMENT comes with BadRequest and ErrorInfo; the value is nowhere in it."""
    request = a_request("s1", "e1")
    request.events[0].items.append(item("secret" * 100))
    async with a_server(an_application()) as server, server.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ScoringServiceStub(channel).Score(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    status = status_details(caught.value)
    info, bad_request = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad_request)
    assert info.reason == "INVALID_REQUEST"
    assert [v.field for v in bad_request.field_violations] == ["events[0].items[0].item_id"]
    assert b"secret" not in status.SerializeToString()


@pytest.mark.parametrize(
    "method",
    [
        "/micromoment.v1.ScoringService/Score",
        "/micromoment.v1.ScoringService/BatchScore",
        "/micromoment.v1.ScoringService/GetSession",
        "/micromoment.v1.EventService/Ingest",
        "/grpc.health.v1.Health/Check",
    ],
)
async def test_bytes_that_are_no_message_are_an_invalid_argument(method: str) -> None:
    """Garbage is answered INVALID_ARGUMENT, with nothing of the parser's own words."""
    async with a_server(an_application()) as server:
        error = await raw_call(server, method, b"\xff\xff\xff\xff garbage")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "DecodeError" not in (error.details() or "")


async def test_a_method_that_does_not_exist_is_unimplemented() -> None:
    """An unknown method is answered UNIMPLEMENTED."""
    async with a_server(an_application()) as server:
        error = await raw_call(server, "/micromoment.v1.ScoringService/Nothing", b"")
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_unexpected_error_shows_nothing_but_a_correlation_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """INTERNAL carries an id that the log carries, too; neither tells the error's message."""
    application = an_application(CountingScorer(failure=KeyError("jane@example.com")))
    async with a_server(application) as server, server.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ScoringServiceStub(channel).Score(a_request("s1", "e1"))
    info = ErrorInfo()
    status_details(caught.value).details[0].Unpack(info)
    correlation_id = info.metadata["correlation_id"]
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert caught.value.details() == f"internal error, correlation id {correlation_id}"
    logged = "".join(capsys.readouterr())
    assert correlation_id in logged
    assert "KeyError" in logged
    assert "jane" not in logged


async def test_more_calls_than_the_limit_are_refused_but_health_is_not() -> None:
    """With all places taken a call is RESOURCE_EXHAUSTED and health still answers."""
    application = an_application(users=SlowUsers(delay_s=0.5))
    async with a_server(application, max_concurrent=2) as server, server.channel() as channel:
        stub = ScoringServiceStub(channel)
        waiting = [asyncio.ensure_future(stub.Score(a_request(f"s{n}", "e1"))) for n in range(2)]
        await asyncio.sleep(0.2)
        assert server.admission.in_flight == 2
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Score(a_request("s9", "e1"))
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        replies = await asyncio.gather(*waiting)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert [reply.events_seen for reply in replies] == [1, 1]
    assert server.admission.in_flight == 0


async def test_overlapping_calls_of_one_session_keep_their_order() -> None:
    """While the first call waits for the visitor's features, later ones of its session wait."""
    scorer, users = CountingScorer(), SlowUsers(delay_s=0.1)
    async with a_server(an_application(scorer, users)) as server, server.channel() as channel:
        stub = ScoringServiceStub(channel)
        calls = []
        for number in range(5):
            calls.append(asyncio.ensure_future(stub.Score(a_request("s1", f"e{number}"))))
            await asyncio.sleep(0.01)
        replies = await asyncio.gather(*calls)
    assert [reply.events_seen for reply in replies] == [1, 2, 3, 4, 5]
    assert users.asked == ["a"]


async def test_a_slow_look_up_counts_as_unavailable() -> None:
    """After the setting's time the visit is scored without user features."""
    scorer = CountingScorer()
    application = an_application(scorer, SlowUsers(delay_s=5.0), user_timeout_s=0.05)
    async with a_server(application) as server, server.channel() as channel:
        await ScoringServiceStub(channel).Score(a_request("s1", "e1"))
    user = scorer.calls[0].user
    assert user is not None
    assert user.status is UserStatus.UNAVAILABLE


async def test_the_servers_own_deadline_ends_a_call_without_one() -> None:
    """A call whose client set no deadline ends DEADLINE_EXCEEDED after default_deadline."""
    application = an_application(users=SlowUsers(delay_s=5.0), user_timeout_s=10.0)
    async with (
        a_server(application, default_deadline_s=0.05) as server,
        server.channel() as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ScoringServiceStub(channel).Score(a_request("s1", "e1"))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_batch_items_succeed_or_fail_by_themselves() -> None:
    """Results stand in the order of the requests, each a reply or the status of its error."""
    requests = [
        a_request("s1", "e1"),
        a_request("", "e1"),
        a_request("s1", "e2"),
        a_request("unknown"),
    ]
    async with a_server(an_application()) as server, server.channel() as channel:
        reply = await ScoringServiceStub(channel).BatchScore(
            scoring_pb2.BatchScoreRequest(requests=requests)
        )
    kinds = [result.WhichOneof("outcome") for result in reply.results]
    assert kinds == ["response", "status", "response", "status"]
    assert reply.results[2].response.events_seen == 2
    assert reply.results[1].status.message == "session_id: required"
    assert reply.results[3].status.code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_a_session_can_be_looked_at() -> None:
    """GetSession gives state, scores and features of a known session, NOT_FOUND for another."""
    async with a_server(an_application()) as server, server.channel() as channel:
        stub = ScoringServiceStub(channel)
        await stub.Score(a_request("s1", "e1"))
        reply = await stub.GetSession(scoring_pb2.GetSessionRequest(session_id="s1"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetSession(scoring_pb2.GetSessionRequest(session_id="s2"))
    assert reply.state.events_seen == 1
    assert list(reply.scores.feature_vector.names) == ["n_events", "duration_s"]
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_ingest_takes_good_events_and_names_the_others() -> None:
    """Each refused event is named with its place and reason; the others are folded."""
    events = [
        event("page_view", event_id="e1"),
        event("page_view", event_id="e2", utc_offset_minutes=9_999),
        event("page_view", event_id="e1"),
    ]
    request = events_pb2.IngestRequest(session_id="s1", anonymous_id="a", events=events)
    async with a_server(an_application()) as server, server.channel() as channel:
        reply = await EventServiceStub(channel).Ingest(request)
    assert (reply.accepted, reply.duplicates) == (1, 1)
    assert [error.index for error in reply.errors] == [1]
    assert "events[1].utc_offset_minutes" in reply.errors[0].status.message


async def test_events_outside_a_visit_need_a_log() -> None:
    """Without a log they are FAILED_PRECONDITION, never swallowed."""
    request = events_pb2.IngestRequest(user_id="u", events=[event("refund")])
    async with a_server(an_application()) as server, server.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await EventServiceStub(channel).Ingest(request)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_server_that_loads_answers_unavailable() -> None:
    """Before the bundle is loaded health says NOT_SERVING and calls are UNAVAILABLE."""
    async with a_server(None) as server, server.channel() as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ScoringServiceStub(channel).Score(a_request("s1", "e1"))
    assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_watchers_see_health_change_and_their_streams_end() -> None:
    """Watch tells the first status, each change, and ends when the server closes."""
    seen = []
    async with a_server(None) as server, server.channel() as channel:
        stream = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service="micromoment.v1.ScoringService")
        )
        async for reply in stream:
            seen.append(reply.status)
            if len(seen) == 1:
                server.server.health.set_serving(True)
            else:
                server.server.health.close()
    status = health_pb2.HealthCheckResponse
    assert seen == [status.NOT_SERVING, status.SERVING]


async def test_a_connection_has_so_many_watches_and_not_more() -> None:
    """One more is refused; another connection has its own, and one that ends makes room."""
    request = health_pb2.HealthCheckRequest()
    async with (
        a_server(an_application()) as server,
        server.channel() as channel,
        server.channel([("grpc.use_local_subchannel_pool", 1)]) as other,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [await a_watch(stub) for _ in range(MAX_WATCHES)]
        assert all(watches)
        assert await a_watch(stub) is None
        assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
        assert await a_watch(health_pb2_grpc.HealthStub(other)) is not None
        assert watches[0] is not None
        watches[0].cancel()
        for _ in range(1_000):
            if await a_watch(stub) is not None:
                break
        else:
            pytest.fail("no room was made")
        server.server.health.close()


async def a_watch(stub: health_pb2_grpc.HealthStub) -> grpc.aio.UnaryStreamCall[Any, Any] | None:
    """Watch; None where that is refused as one too many."""
    watch: grpc.aio.UnaryStreamCall[Any, Any] = stub.Watch(health_pb2.HealthCheckRequest())
    try:
        await watch.read()
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return None
    return watch


async def test_health_knows_its_services_only() -> None:
    """Check of an unknown service is NOT_FOUND; List names the known ones."""
    async with a_server(an_application()) as server, server.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="nothing"))
        listed = await stub.List(health_pb2.HealthListRequest())
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    services = ("micromoment.v1.ScoringService", "micromoment.v1.EventService")
    assert set(listed.statuses) == {"", "liveness", *services}


async def test_a_request_may_have_256_kib_and_not_more() -> None:
    """The largest request is judged by its fields, a larger one is RESOURCE_EXHAUSTED."""
    name = b"\x0a"  # field 1, session_id
    room = MAX_REQUEST_BYTES - 4
    fits = name + bytes([room % 128 | 128, room // 128 % 128 | 128, room // 128**2]) + b"a" * room
    assert len(fits) == MAX_REQUEST_BYTES
    method = "/micromoment.v1.ScoringService/Score"
    async with a_server(an_application()) as server:
        judged = await raw_call(server, method, fits)
        refused = await raw_call(server, method, fits + b"\x00")
    assert judged.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_taken_port_is_an_error_that_names_the_setting() -> None:
    """A second server on the port fails instead of sharing it."""
    async with a_server(None) as server:
        with pytest.raises(InvalidSettingError, match="port"):
            make_server(
                ApplicationSlot(),
                Admission(1),
                NoObserver(),
                host="127.0.0.1",
                port=server.server.port,
                limits=Limits(default_deadline_s=1.0, max_streams=1, stream_idle_s=1.0),
                reflect=False,
            )


async def test_random_bytes_never_make_an_internal_error() -> None:
    """Whatever is sent is answered OK or INVALID_ARGUMENT."""
    codes = set()
    async with a_server(an_application()) as server, server.channel() as channel:
        call = channel.unary_unary("/micromoment.v1.ScoringService/Score", bytes, bytes)
        good = a_request("s1", "e1").SerializeToString()
        for number in range(500):
            data = bytearray(good if number % 2 else os.urandom(40))
            data[number % len(data)] ^= 1 + number % 255
            try:
                await call(bytes(data))
                codes.add(grpc.StatusCode.OK)
            except grpc.aio.AioRpcError as error:
                codes.add(error.code())
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}

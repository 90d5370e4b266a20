"""Part F: who may call, and whose sessions they reach."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from micromoment.client import AsyncClient, Client, ScoreStream, score_request
from micromoment.client.admin import AdminClient
from micromoment.security.callers import Role
from micromoment.v1 import events_pb2, models_pb2, privacy_pb2, scoring_pb2
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.promises.conftest import Reached
from tests.support.recovery import an_event
from tests.support.restarts import scrape
from tests.support.server_process import Start
from tests.support.tokens import Tokens, bearer, refused

RELOAD_S: Final = 15.0
ANSWER_S: Final = 10.0
SERVICES: Final = (
    scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"],
    events_pb2.DESCRIPTOR.services_by_name["EventService"],
)
PRIVACY: Final = privacy_pb2.DESCRIPTOR.services_by_name["PrivacyService"]
ADMIN: Final = models_pb2.DESCRIPTOR.services_by_name["ModelService"]
Metadata = tuple[tuple[str, str], ...]
JSON: Final = {"content-type": "application/json"}


def every_method(
    channel: grpc.Channel, services: Sequence[Any], metadata: Metadata
) -> Iterator[Callable[[], object]]:
    """Give a call of each method, unary and streamed, with an empty request."""
    for service in services:
        for method in service.methods:
            name = f"/{service.full_name}/{method.name}"
            if method.client_streaming:
                stream = channel.stream_stream(name, None, bytes)
                yield partial(_all_of, stream, metadata)
            elif method.server_streaming:
                answers = channel.unary_stream(name, None, bytes)
                yield partial(_each_of, answers, metadata)
            else:
                unary = channel.unary_unary(name, None, bytes)
                yield partial(unary, b"", metadata=metadata, timeout=ANSWER_S)


def _all_of(stream: grpc.StreamStreamMultiCallable[Any, Any], metadata: Metadata) -> list[bytes]:
    first = scoring_pb2.StreamScoresRequest(request_id="1").SerializeToString()
    return list(stream(iter([first]), metadata=metadata, timeout=ANSWER_S))


def _each_of(call: grpc.UnaryStreamMultiCallable[Any, Any], metadata: Metadata) -> list[bytes]:
    return list(call(b"", metadata=metadata, timeout=ANSWER_S))


def list_services(channel: grpc.Channel, metadata: Metadata = ()) -> int:
    """Ask by reflection which services there are; give their number."""
    request = reflection_pb2.ServerReflectionRequest(list_services="*")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([request]), metadata=metadata, timeout=ANSWER_S)
    return len(answer.list_services_response.service)


def test_f2_who_is_not_known_is_not_let_in(start: Start, tmp_path: Path, reached: Reached) -> None:
    """No, wrong, expired or revoked token: UNAUTHENTICATED 100 %; other roles: PERMISSION_DENIED.

    Health is open, reflection asks for any token, and no token is told to anybody.
    """
    tokens = Tokens(tmp_path / "credentials.json")
    score, admin, privacy = (tokens.new(roles=[role]) for role in Role)
    expired, revoked = tokens.expired(), tokens.new()
    tokens.revoke(revoked)
    server = start(
        credentials=str(tokens.path), metrics_port="0", admin_port="0", log_level="debug"
    )
    ports = server.await_event("serving")
    wrong: list[Metadata] = [
        (),
        bearer(""),
        bearer(score[:-1]),
        bearer(score + "x"),
        bearer(score.upper()),
        bearer(expired),
        bearer(revoked),
        (("authorization", f"Basic {score}"),),
        (("authorization", score),),
        (("x-api-key", expired),),
        (("x-api-key", f"{score} {score}"),),
        (("authorization", f"Bearer {revoked}"), ("x-api-key", score)),
        (("api-key", score), ("cookie", f"token={score}")),
    ]
    told: list[str] = []
    made = 0
    with (
        grpc.insecure_channel(f"127.0.0.1:{ports['port']}") as channel,
        grpc.insecure_channel(f"127.0.0.1:{ports['admin_port']}") as operators,
    ):
        for metadata in wrong:
            calls: list[Callable[[], object]] = [
                *every_method(channel, [*SERVICES, PRIVACY], metadata),
                *every_method(operators, [ADMIN, PRIVACY], metadata),
                partial(list_services, channel, metadata),
                partial(list_services, operators, metadata),
            ]
            for call in calls:
                code, details = refused(call)
                assert code == "UNAUTHENTICATED", (metadata, details)
                told.append(details)
                made += 1
        # Each role has its own services.
        for token, services, other in (
            (score, operators, [ADMIN, PRIVACY]),
            (privacy, operators, [ADMIN]),
            (admin, operators, [PRIVACY]),
            (admin, channel, [*SERVICES, PRIVACY]),
            (privacy, channel, SERVICES),
            (score, channel, [PRIVACY]),
        ):
            for call in every_method(services, other, bearer(token)):
                code, details = refused(call)
                assert code == "PERMISSION_DENIED", details
                told.append(details)
        scoring = ScoringServiceStub(channel)
        right = score_request("s1", [an_event(1, 0)])
        for key, value in (
            ("authorization", f"Bearer {score}"),
            ("authorization", f"bearer  {score} "),
            ("x-api-key", score),
        ):
            reply = scoring.Score(right, metadata=((key, value),), timeout=ANSWER_S)
            assert reply.events_seen == 1
        asked = models_pb2.ListBundlesRequest().SerializeToString()
        listing = operators.unary_unary("/micromoment.v1.ModelService/ListBundles", None, bytes)
        assert listing(asked, metadata=bearer(admin), timeout=ANSWER_S)
        listed = [list_services(channel, bearer(token)) for token in (score, admin, privacy)]
        assert listed == [5, 5, 5]
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
    metrics = scrape(ports["metrics_port"])
    assert 'micromoment_denied_total{reason="no_token"}' in metrics
    server.process.send_signal(signal.SIGTERM)
    assert server.end(20)[0] == 0
    everything = "".join([server.log, metrics, *told])
    for token in tokens.made:
        assert token[4:20] not in everything
    reached("F2", f"{made} of {made} calls without a valid token UNAUTHENTICATED")


def test_f2_reflection_can_be_switched_off(start: Start, tmp_path: Path) -> None:
    """Then nobody is told, whatever the token."""
    tokens = Tokens(tmp_path / "credentials.json")
    token = tokens.new(roles=list(Role))
    server = start(credentials=str(tokens.path), reflection="false", admin_port="0")
    ports = server.await_event("serving")
    for name in ("port", "admin_port"):
        with grpc.insecure_channel(f"127.0.0.1:{ports[name]}") as channel:
            code, _ = refused(partial(list_services, channel, bearer(token)))
            assert code == "UNIMPLEMENTED"


def test_f2_the_front_door_asks_as_well(start: Start, tmp_path: Path) -> None:
    """HTTP: 401 without a valid token and 403 without the role, but for the probes."""
    tokens = Tokens(tmp_path / "credentials.json")
    score, admin = (tokens.new(roles=[role]) for role in (Role.SCORE, Role.ADMIN))
    expired = tokens.expired()
    server = start(("-m", "micromoment", "serve-http"), http_port="0", credentials=str(tokens.path))
    port = server.await_event("serving_http")["port"]

    def ask(path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        method = "GET" if body is None else "POST"
        answer = httpx.request(
            method, f"http://127.0.0.1:{port}{path}", content=body, headers=JSON | headers
        )
        asks = answer.headers.get("www-authenticate")
        assert asks == ("Bearer" if answer.status_code == 401 else None)
        return answer.status_code, answer.text

    calls = ["/v1/score", "/v1/batch_score", "/v1/get_session", "/v1/ingest"]
    for path in calls:
        for headers in ({}, {"authorization": f"Bearer {expired}"}, {"x-api-key": score[:-1]}):
            code, said = ask(path, b"{}", **headers)
            assert (code, "UNAUTHENTICATED" in said) == (401, True)
        assert ask(path, b"{}", **{"x-api-key": admin})[0] == 403
        assert ask(path, b"{}", **{"x-api-key": score})[0] == 400  # let in, and refused as empty
    theirs = ("/schema.json", "/healthz", "/static_content/swagger-ui.css")  # BentoML's own
    for path in ("/", "/docs.json", "/metrics", *theirs):
        assert ask(path)[0] == 401
        assert ask(path, authorization=f"Bearer {admin}")[0] == 200
    assert ask("/nothing")[0] == 401
    assert [ask(path)[0] for path in ("/livez", "/readyz")] == [200, 200]
    # Sessions are tenants' own here as well.
    other = tokens.new("shop-b")
    server.await_event("file_reloaded", RELOAD_S)
    body = json_format.MessageToJson(score_request("s1", [an_event(1, 0)])).encode()
    assert ask("/v1/score", body, **{"x-api-key": score})[0] == 200
    assert ask("/v1/get_session", b'{"sessionId": "s1"}', **{"x-api-key": score})[0] == 200
    known = ask("/v1/get_session", b'{"sessionId": "s1"}', **{"x-api-key": other})
    assert (known[0], "SESSION_NOT_FOUND" in known[1]) == (404, True)
    for token in tokens.made:
        assert token not in server.log


async def asks_on(stream: ScoreStream) -> None:
    """Ask on a stream until it fails."""
    ends = time.monotonic() + RELOAD_S
    while time.monotonic() < ends:
        await stream.score("s1", [an_event(1, 3)], deadline_s=ANSWER_S)


async def test_f2_a_stream_ends_when_its_token_does(start: Start, tmp_path: Path) -> None:
    """Judged when it opens and with each request: revoked or expired, it answers no more."""
    tokens = Tokens(tmp_path / "credentials.json")
    revoked, kept = tokens.new(), tokens.new()
    server = start(credentials=str(tokens.path))
    address = f"127.0.0.1:{server.await_event('serving')['port']}"
    short = tokens.new(expires=datetime.now(UTC) + timedelta(seconds=10))
    server.await_event("file_reloaded", RELOAD_S)
    async with (
        AsyncClient(address, token=revoked) as first,
        AsyncClient(address, token=short) as second,
        AsyncClient(address, token=kept) as third,
        first.stream() as going,
        second.stream() as passing,
        third.stream() as lasting,
    ):
        streams = (going, passing, lasting)
        for number in range(3):
            for stream in streams:
                await stream.score("s1", [an_event(1, number)], deadline_s=ANSWER_S)
        tokens.revoke(revoked)
        server.await_event("file_reloaded", RELOAD_S)
        codes = []
        for stream in (going, passing):
            with pytest.raises(grpc.RpcError) as caught:
                await asks_on(stream)
            error: Any = caught.value
            codes.append(error.code())
        assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 2
        reply = await lasting.score("s1", [an_event(1, 4)], deadline_s=ANSWER_S)
        assert reply.events_seen == 5


def test_f2_a_damaged_file_changes_nothing(start: Start, tmp_path: Path) -> None:
    """The last good credentials count until the file is mended; an empty one keeps all out."""
    tokens = Tokens(tmp_path / "credentials.json")
    token = tokens.new()
    server = start(credentials=str(tokens.path), metrics_port="0")
    ports = server.await_event("serving")
    tokens.path.write_text('{"version": 1, "tokens": [{"id": "x"', encoding="utf-8")
    assert "credentials" in server.await_event("file_not_reloaded", RELOAD_S)["reason"]
    with Client(f"127.0.0.1:{ports['port']}", token=token) as client:
        assert client.score("s1", [an_event(1, 0)], deadline_s=ANSWER_S).events_seen == 1
        stale = 'micromoment_file_stale{setting="credentials"} 1.0'
        assert stale in scrape(ports["metrics_port"])
        tokens.revoke(token)
        server.await_event("file_reloaded", RELOAD_S)
        assert refused(lambda: client.score("s1"))[0] == "UNAUTHENTICATED"


def test_f2_operators_need_their_own_role(start: Start, tmp_path: Path) -> None:
    """The admin client is refused with a shop's token and served with an operator's."""
    tokens = Tokens(tmp_path / "credentials.json")
    score, admin = tokens.new(), tokens.new(roles=[Role.ADMIN])
    server = start(credentials=str(tokens.path), admin_port="0")
    address = f"127.0.0.1:{server.await_event('serving')['admin_port']}"
    with AdminClient(address, token=score) as client:
        assert refused(client.list_bundles)[0] == "PERMISSION_DENIED"
        assert refused(lambda: client.activate_bundle("shop:latest"))[0] == "PERMISSION_DENIED"
    with AdminClient(address, token=admin) as client:
        assert client.list_bundles().active_bundle

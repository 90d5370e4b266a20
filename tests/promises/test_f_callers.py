"""Part F: who may call, and whose sessions they reach."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis import Redis

from micromoment.client import AsyncClient, Client, ScoreStream, event, score_request
from micromoment.client.admin import AdminClient
from micromoment.security.callers import Role
from micromoment.stores.event_log import OUTSIDE_FILE, read_outside_visits
from micromoment.v1 import events_pb2, models_pb2, scoring_pb2
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.promises.conftest import Form, Reached
from tests.support.feature_stores import a_redis
from tests.support.recovery import START, an_event
from tests.support.restarts import scrape
from tests.support.server_process import Server, Start, servers
from tests.support.tokens import Tokens, bearer

RELOAD_S: Final = 15.0
ANSWER_S: Final = 10.0
SAID: Final = 8  # fields of an answer that are compared
TENANTS: Final = 33  # 1,056 ordered pairs
SERVICES: Final = (
    scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"],
    events_pb2.DESCRIPTOR.services_by_name["EventService"],
)
ADMIN: Final = models_pb2.DESCRIPTOR.services_by_name["ModelService"]
Metadata = tuple[tuple[str, str], ...]
JSON: Final = {"content-type": "application/json"}


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    """Make a call that is refused; give status and details, which are told in the trailers too."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code().name, f"{error.details()} {error.trailing_metadata()}"


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
            else:
                unary = channel.unary_unary(name, None, bytes)
                yield partial(unary, b"", metadata=metadata, timeout=ANSWER_S)


def _all_of(stream: grpc.StreamStreamMultiCallable[Any, Any], metadata: Metadata) -> list[bytes]:
    first = scoring_pb2.StreamScoresRequest(request_id="1").SerializeToString()
    return list(stream(iter([first]), metadata=metadata, timeout=ANSWER_S))


def an_order(event_id: str) -> events_pb2.Event:
    """Make an order that an order service tells of."""
    return event("purchase", event_id=event_id, event_time=START, order_id=event_id, value="9.90")


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
                *every_method(channel, SERVICES, metadata),
                *every_method(operators, [ADMIN], metadata),
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
            (score, operators, [ADMIN]),
            (privacy, operators, [ADMIN]),
            (admin, channel, SERVICES),
            (privacy, channel, SERVICES),
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
        assert listed == [4, 4, 4]
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
    for path in ("/", "/docs.json", "/metrics"):
        assert ask(path)[0] == 401
        assert ask(path, authorization=f"Bearer {admin}")[0] == 200
    assert [ask(path)[0] for path in ("/livez", "/readyz")] == [200, 200]
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
    short = tokens.new(expires=datetime.now(UTC) + timedelta(seconds=6))
    server = start(credentials=str(tokens.path))
    address = f"127.0.0.1:{server.await_event('serving')['port']}"
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


@dataclass
class Tenants:
    """Clients of as many tenants at one server, and one that is alone at another."""

    clients: list[Client] = field(repr=False)
    alone: Client
    number: Iterator[int] = field(default_factory=itertools.count)


@pytest.fixture(scope="module", params=["memory", "redis"])
def tenants(
    request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tenants]:
    """Tenants with sessions in memory, or on a Redis."""
    folder = tmp_path_factory.mktemp(request.param)
    tokens = Tokens(folder / "credentials.json")
    made = [tokens.new(f"shop-{number}") for number in range(TENANTS)]
    with ExitStack() as stack:
        where = "memory"
        if request.param == "redis":
            _, port = stack.enter_context(a_redis(folder))
            where = f"redis://127.0.0.1:{port}/0"
        start = stack.enter_context(servers(store, folder))
        many = start(credentials=str(tokens.path), session_store=where, session_timeout="5")
        lone = Tokens(folder / "lone.json")
        own = lone.new("alone")
        one = start(credentials=str(lone.path))

        def client(server: Server, token: str) -> Client:
            address = f"127.0.0.1:{server.await_event('serving')['port']}"
            return stack.enter_context(Client(address, deadline_s=ANSWER_S, token=token))

        yield Tenants([client(many, token) for token in made], client(one, own))


# What a tenant does next: how many events, by which call.
STEP = st.tuples(st.integers(1, 3), st.sampled_from(["score", "batch", "ingest", "dry_run"]))
VISIT = st.lists(STEP, min_size=1, max_size=3)


@dataclass
class Visit:
    """One tenant's visit."""

    client: Client
    session_id: str
    seed: int
    sent: int = 0
    answers: list[Any] = field(default_factory=list)

    def step(self, events: int, how: str) -> None:
        """Send the next events."""
        new = [an_event(10 * self.seed + 1, self.sent + number) for number in range(events)]
        if how == "ingest":
            reply = self.client.ingest(new, session_id=self.session_id, anonymous_id="b1")
            self.answers.append((reply.accepted, reply.duplicates))
        elif how == "batch":
            (result,) = self.client.batch_score([score_request(self.session_id, new)])
            self.answers.append(_said(result.response))
        else:
            dry = how == "dry_run"
            self.answers.append(_said(self.client.score(self.session_id, new, dry_run=dry)))
        if how != "dry_run":
            self.sent += events

    def look(self) -> None:
        """Ask for the session as it is now."""
        try:
            self.answers.append(_said(self.client.get_session(self.session_id).scores))
        except grpc.RpcError as error:
            self.answers.append(error.code().name)


def _said(reply: scoring_pb2.ScoreResponse) -> tuple[Any, ...]:
    return (
        reply.conversion, reply.HasField("conversion"), reply.events_seen, reply.last_event_id,
        reply.duplicates, reply.converted, reply.session_id, tuple(reply.degraded),
    )  # fmt: skip


def _pair_is_apart(
    tenants: Tenants,
    pair: tuple[int, int],
    name: str,
    first: list[tuple[int, str]],
    second: list[tuple[int, str]],
    chance: random.Random,
) -> None:
    number = next(tenants.number)
    session_id = f"{name}-{number}"
    one, other = tenants.clients[pair[0]], tenants.clients[sum(pair) % TENANTS]
    visits = [Visit(one, session_id, 0), Visit(other, session_id, 1)]
    # Each is repeated where nobody else is, under a name of its own.
    apart = [Visit(tenants.alone, f"{number}-{place}", place) for place in range(2)]
    order = [(0, step) for step in first] + [(1, step) for step in second]
    left = [iter(first), iter(second)]
    chance.shuffle(order)
    for place, _ in order:
        step = next(left[place])
        visits[1 - place].look()
        visits[place].step(*step)
        apart[1 - place].look()
        apart[place].step(*step)
    for visit in (*visits, *apart):
        visit.look()
    for visit, lone in zip(visits, apart, strict=True):
        assert visit.answers == [_named(answer, session_id) for answer in lone.answers]


def _named(answer: object, session_id: str) -> object:
    """Give an answer under another session id, which scores repeat."""
    if isinstance(answer, tuple) and len(answer) == SAID:
        return (*answer[:6], session_id, answer[7])
    return answer


def test_f2_tenants_know_nothing_of_each_other(
    tenants: Tenants, form: Form, reached: Reached, request: pytest.FixtureRequest
) -> None:
    """A tenant never reads or scores another's session: answers equal those of a lone tenant.

    The same session ids in pairs of tenants, 1,000 of them; the quick form takes 100.
    """
    pairs = form(100, 1_000)
    before = next(tenants.number)
    asked = given(
        st.just(tenants),
        st.tuples(st.integers(0, TENANTS - 1), st.integers(1, TENANTS - 1)),
        st.text(alphabet="sS0:{}%/\\.~*", min_size=1, max_size=6),
        VISIT,
        VISIT,
        st.randoms(use_true_random=False),
    )
    settings(
        max_examples=pairs,
        deadline=None,
        derandomize=form(True, False),
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )(asked(_pair_is_apart))()
    tried = next(tenants.number) - before - 1
    assert tried >= pairs * 0.9
    where = request.node.callspec.params["tenants"]
    reached("F2", f"{where}: {tried} pairs of tenants with the same session, 0 answers differ")


def test_f2_events_outside_visits_are_each_tenants_own(
    tenants: Tenants,
) -> None:
    """The same event id of two tenants is two events, and a duplicate in one of them alone."""
    event_id = f"outside-{next(tenants.number)}"
    one = an_order(event_id)
    counts = []
    for client in (*tenants.clients[:2], tenants.clients[0]):
        reply = client.ingest([one], user_id="user-1")
        counts.append((reply.accepted, reply.duplicates))
    assert counts == [(1, 0), (1, 0), (0, 1)]


@pytest.mark.parametrize("how", ["recovery", "state_file"])
def test_f2_a_restart_keeps_tenants_apart(start: Start, tmp_path: Path, how: str) -> None:
    """Sessions of one id come back to their tenants, from the log and from the sessions' file."""
    tokens = Tokens(tmp_path / "credentials.json")
    made = [tokens.new(tenant) for tenant in ("shop-a", "shop-b", "shop-c")]
    folder = {"credentials": str(tokens.path), "state_dir": str(tmp_path / "state")}
    if how == "state_file":
        folder["state_file"] = str(tmp_path / "sessions.bin")
    seen: list[Any] = []
    for _ in range(2):
        server = start(**folder)
        address = f"127.0.0.1:{server.await_event('serving')['port']}"
        for number, token in enumerate(made[:2], start=1):
            with Client(address, token=token, deadline_s=ANSWER_S) as client:
                if len(seen) < 2:
                    client.score("s1", [an_event(number, place) for place in range(number)])
                    assert client.ingest([an_order("o1")], user_id="u1").accepted == 1
                seen.append(client.get_session("s1").scores.events_seen)
        with Client(address, token=made[2], deadline_s=ANSWER_S) as client:
            assert refused(partial(client.get_session, "s1"))[0] == "NOT_FOUND"
        server.process.send_signal(signal.SIGTERM if how == "state_file" else signal.SIGKILL)
        server.end(20)
    assert seen == [1, 2, 1, 2]
    outside = read_outside_visits(tmp_path / "state/event_log" / OUTSIDE_FILE)
    assert [event.tenant for _, event in outside] == ["shop-a", "shop-b"]


def test_f2_redis_keys_begin_with_the_tenant(store: Path, tmp_path: Path) -> None:
    """And the log's entries have its name; no key or value holds a token."""
    tokens = Tokens(tmp_path / "credentials.json")
    made = [tokens.new(tenant) for tenant in ("shop-a", "shop-b")]
    with a_redis(tmp_path) as (_, port), servers(store, tmp_path) as start:
        server = start(
            credentials=str(tokens.path), session_store=f"redis://127.0.0.1:{port}/0",
            session_timeout="5",
        )  # fmt: skip
        address = f"127.0.0.1:{server.await_event('serving')['port']}"
        for token in made:
            with Client(address, token=token, deadline_s=ANSWER_S) as client:
                client.score("s1", [an_event(1, 0)])
        with Redis(port=port) as redis:
            keys = sorted(redis.scan_iter("*"))
            entries = redis.xrange("micromoment:log")
            dumped = b"".join(redis.dump(key) or b"" for key in keys)
        starts = {key.split(b"}")[0] for key in keys if b"{" in key}
        assert starts == {b"micromoment:{shop-a:s1", b"micromoment:{shop-b:s1"}
        assert [fields[b"tenant"] for _, fields in entries] == [b"shop-a", b"shop-b"]
        for token in made:
            assert token.encode() not in b"".join(keys) + dumped


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

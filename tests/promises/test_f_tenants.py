"""Part F: whose sessions a caller reaches."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis import Redis

from micromoment.client import AsyncClient, Client, event, score_request
from micromoment.client.admin import AdminClient
from micromoment.security.callers import Role
from micromoment.stores.event_log import OUTSIDE_FILE, read_outside_visits
from micromoment.v1 import events_pb2, scoring_pb2
from tests.promises.conftest import Form, Reached
from tests.support.feature_stores import a_redis
from tests.support.recovery import START, an_event
from tests.support.server_process import Start, servers
from tests.support.tokens import Tokens, refused

ANSWER_S: Final = 10.0
SAID: Final = 8  # fields of an answer that are compared
TENANTS: Final = 33  # 1,056 ordered pairs


def an_order(event_id: str) -> events_pb2.Event:
    """Make an order that an order service tells of."""
    return event("purchase", event_id=event_id, event_time=START, order_id=event_id, value="9.90")


@dataclass
class Tenants:
    """Clients of as many tenants at one server, and one that is alone at another."""

    clients: list[Client] = field(repr=False)
    alone: Client
    address: str
    tokens: list[str] = field(repr=False)
    number: Iterator[int] = field(default_factory=itertools.count)


@pytest.fixture(scope="module", params=["memory", "redis"])
def tenants(
    request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tenants]:
    """Tenants with sessions in memory, or on a Redis."""
    folder = tmp_path_factory.mktemp(request.param)
    tokens = Tokens(folder / "credentials.json")
    roles = (Role.SCORE, Role.PRIVACY)
    made = [tokens.new(f"shop-{number}", roles) for number in range(TENANTS)]
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

        def client(address: str, token: str) -> Client:
            return stack.enter_context(Client(address, deadline_s=ANSWER_S, token=token))

        crowded, quiet = (
            f"127.0.0.1:{server.await_event('serving')['port']}" for server in (many, one)
        )
        clients = [client(crowded, token) for token in made]
        yield Tenants(clients, client(quiet, own), crowded, made)


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

    The same session ids in pairs of tenants, 1,000 of them; the quick form takes 50.
    """
    pairs = form(50, 1_000)
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


def kinds_of(admin: AdminClient, user_id: str) -> set[str | None]:
    """Tell what is held of somebody."""
    return {piece.WhichOneof("held") for piece in admin.export_user(user_id)}


def test_f2_a_tenant_erases_its_own_alone(tenants: Tenants) -> None:
    """Who is erased for one tenant is there for another, under the same ids, and exported to it."""
    session_id, user_id = f"erased-{next(tenants.number)}", "same-user"
    clients, tokens = tenants.clients[:2], tenants.tokens[:2]
    for client in clients:
        client.score(session_id, [an_event(7, 0), an_event(7, 1)], user_id=user_id)
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(AdminClient(tenants.address, deadline_s=60, token=token))
            for token in tokens
        )
        stores = [
            {piece.WhichOneof("held") for piece in one.export_user(user_id)}
            for one in (first, second)
        ]
        assert stores[0] == stores[1]
        assert stores[0]
        assert first.erase_user(user_id).sessions == 1
        assert list(first.export_user(user_id)) == []
        assert kinds_of(second, user_id) == {"session", "call"}
    assert refused(partial(clients[0].get_session, session_id))[0] == "NOT_FOUND"
    assert clients[1].get_session(session_id).scores.events_seen == 2


async def test_f2_tenants_at_once_are_not_mixed_up(tenants: Tenants) -> None:
    """Calls, streams and batches of many tenants at the same time, all of one session id."""
    session_id = f"at-once-{next(tenants.number)}"
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(tenants.address, token=token))
            for token in tenants.tokens[:8]
        ]
        streams = [await stack.enter_async_context(client.stream()) for client in clients]

        async def visit(place: int) -> list[int]:
            seen = []
            for number in range(24 + place):
                new = [an_event(10 * place + 1, number)]
                if number % 3 == 0:
                    reply = await clients[place].score(session_id, new, deadline_s=ANSWER_S)
                elif number % 3 == 1:
                    reply = await streams[place].score(session_id, new, deadline_s=ANSWER_S)
                else:
                    request = score_request(session_id, new)
                    (one,) = await clients[place].batch_score([request], deadline_s=ANSWER_S)
                    reply = one.response
                assert reply.last_event_id == new[0].event_id
                seen.append(reply.events_seen)
            return seen

        found = await asyncio.gather(*map(visit, range(len(clients))))
    assert found == [list(range(1, 25 + place)) for place in range(len(clients))]


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

"""Two real servers on one Redis: together they answer as one does (promises C1, C6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import grpc
import pytest
from prometheus_client import generate_latest
from redis import Redis

from micromoment.bootstrap import make_service
from micromoment.client import AsyncClient, event, item, score_request
from micromoment.features.user_snapshot import UserStatus
from micromoment.lifecycle import Service
from micromoment.settings import Settings
from micromoment.telemetry.metrics import Metrics
from micromoment.v1 import events_pb2 as events_pb
from micromoment.v1 import scoring_pb2 as pb
from tests.support.feature_stores import a_redis
from tests.support.serving import SlowUsers
from tests.support.tiny_bundle import make_tiny_store

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
NOW_US = int((START + timedelta(hours=3)).timestamp()) * 1_000_000
KINDS = ("page_view", "item_view", "item_view", "cart_add", "cart_view", "search")
# Longer than any pause of a busy machine: only what is broken on purpose may fail here.
PATIENT_S = 20.0


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis of the test's own."""
    with a_redis(tmp_path) as (_, port):
        yield port


@asynccontextmanager
async def serving(
    bundles: Path, state_dir: Path, redis_port: int | None, metrics: Metrics | None = None
) -> AsyncIterator[Service]:
    """Run a server, its sessions in a Redis or in memory, until the block ends."""
    settings = Settings(
        port=0,
        metrics_port=None,
        admin_port=None,
        bundle_store=bundles,
        state_dir=state_dir,
        drain_lag=0.0,
        drain_grace=1.0,
        session_store=f"redis://127.0.0.1:{redis_port}" if redis_port else "",
        session_timeout=PATIENT_S,
    )
    users = SlowUsers(status=UserStatus.UNKNOWN)
    service = make_service(settings, metrics=metrics, users=users, clock_us=lambda: NOW_US)
    await service.listen()
    await service.load()
    try:
        yield service
    finally:
        await service.drain()


def client_of(service: Service) -> AsyncClient:
    """Open a client of one server."""
    return AsyncClient(f"127.0.0.1:{service.port}", deadline_s=60.0)


class Shoppers:
    """Makes requests of a few sessions with numbered events, some of them sent again."""

    def __init__(self, seed: int, sessions: int) -> None:
        self._random = Random(seed)
        self._sessions = sessions
        self._sent: dict[str, list[events_pb.Event]] = {}
        self.events = 0

    def request(self) -> pb.ScoreRequest:
        """Make the next request: up to four new events and now and then earlier ones."""
        random = self._random
        session = f"s{random.randrange(self._sessions)}"
        sent = self._sent.setdefault(session, [])
        again = random.sample(sent[-100:], min(len(sent), random.choice((0, 0, 1, 2))))
        new = [self._event(session, len(sent) + place) for place in range(random.randint(1, 4))]
        sent += new
        self.events += len(again) + len(new)
        mixed = [*again, *new] if random.random() < 0.5 else [*new, *again]
        return score_request(session, mixed, anonymous_id=session, include_features=True)

    def distinct(self) -> Counter[str]:
        """Count the distinct events of each session."""
        return Counter({session: len(sent) for session, sent in self._sent.items()})

    def _event(self, session: str, number: int) -> events_pb.Event:
        random = self._random
        return event(
            random.choice(KINDS),
            event_id=f"{session}/{number}",
            event_time=START + timedelta(seconds=7 * number),
            items=[item(f"sku{random.randrange(30)}", price="9.99", quantity=1)],
            page=f"/{random.randrange(20)}",
        )


def comparable(reply: pb.ScoreResponse) -> bytes:
    """Give all of an answer but its own id."""
    copy = pb.ScoreResponse()
    copy.CopyFrom(reply)
    copy.score_id = ""
    return copy.SerializeToString(deterministic=True)


async def test_two_servers_answer_as_one(bundles: Path, tmp_path: Path, port: int) -> None:
    """1,000 events with repeats, each request at either server: every answer has the same bits."""
    shoppers, random = Shoppers(seed=3, sessions=9), Random(4)
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(bundles, tmp_path / name, redis_port))
            for name, redis_port in (("a", port), ("b", port), ("alone", None))
        ]
        *both, alone = [await stack.enter_async_context(client_of(one)) for one in services]
        answers = 0
        while shoppers.events < 1_000:
            request = shoppers.request()
            client = random.choice(both)
            ours, theirs = await asyncio.gather(send(client, request), send(alone, request))
            assert comparable(ours) == comparable(theirs)
            assert ours.degraded == []
            answers += 1
    assert answers > 250
    with Redis(port=port) as redis:
        assert redis.dbsize() == 9
        assert all(0 < int(str(redis.ttl(key))) <= 7_200 for key in redis.scan_iter())


async def test_no_event_is_lost_or_counted_twice(bundles: Path, tmp_path: Path, port: int) -> None:
    """Both servers at the same sessions at the same time: in the end each event counts once."""
    shoppers = Shoppers(seed=5, sessions=3)
    requests = []
    while shoppers.events < 1_000:
        requests.append(shoppers.request())
    waiting = iter(requests)
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(bundles, tmp_path / name, port))
            for name in ("a", "b")
        ]
        clients = [await stack.enter_async_context(client_of(one)) for one in services]
        new: Counter[str] = Counter()

        async def work(client: AsyncClient) -> None:
            for request in waiting:
                reply = await send(client, request)
                new[request.session_id] += len(request.events) - reply.duplicates
                assert reply.degraded == []

        await asyncio.gather(*(work(client) for client in clients * 4))
        assert new == shoppers.distinct()
        for session, count in new.items():
            seen = [(await client.get_session(session)).state.events_seen for client in clients]
            assert seen == [count, count]


async def test_sessions_outlive_their_server(bundles: Path, tmp_path: Path, port: int) -> None:
    """The next server goes on with the session of one that has ended."""
    for number in (1, 2, 3):
        async with serving(bundles, tmp_path, port) as service, client_of(service) as client:
            one = event("page_view", event_id=f"e{number}", event_time=START)
            reply = await client.score("s1", [one], anonymous_id="a")
        assert (reply.events_seen, list(reply.degraded)) == (number, [])


async def test_a_batch_shares_round_trips_and_keeps_its_order(
    bundles: Path, tmp_path: Path, port: int
) -> None:
    """Results stand in the requests' order; two of one session are answered one by one."""
    requests = [
        score_request(
            f"s{place % 30}",
            [event("page_view", event_id=f"e{place}", event_time=START + timedelta(seconds=place))],
        )
        for place in range(60)
    ]
    async with serving(bundles, tmp_path, port) as service, client_of(service) as client:
        results = await client.batch_score(requests)
    replies = [result.response for result in results]
    assert [reply.last_event_id for reply in replies] == [f"e{place}" for place in range(60)]
    assert [reply.events_seen for reply in replies] == [1] * 30 + [2] * 30


async def test_without_redis_the_server_serves_and_says_so(bundles: Path, tmp_path: Path) -> None:
    """It starts, answers from each request's events, and refuses what it can't keep or read."""
    with a_redis(tmp_path) as (process, port):
        process.kill()
        process.wait()
        metrics = Metrics()
        async with (
            serving(bundles, tmp_path, port, metrics) as service,
            client_of(service) as client,
        ):
            for number in range(5):
                one = event("page_view", event_id=f"e{number}", event_time=START)
                reply = await client.score("s1", [one], anonymous_id="a")
                assert reply.degraded == [pb.DEGRADED_REASON_STATE_UNAVAILABLE]
                assert (reply.events_seen, reply.last_event_id) == (1, f"e{number}")
                assert reply.HasField("conversion")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.get_session("s1")
            shown = generate_latest(metrics.registry).decode()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "micromoment_session_store_asked 0.0" in shown
    assert 'micromoment_degraded_total{reason="state_unavailable"} 5.0' in shown
    assert 'micromoment_stage_seconds_count{stage="store"}' in shown


async def send(client: AsyncClient, request: pb.ScoreRequest) -> pb.ScoreResponse:
    """Send a request as it is."""
    (result,) = await client.batch_score([request])
    assert result.HasField("response")
    return result.response

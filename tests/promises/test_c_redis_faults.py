"""C1, C2, C3, C5, call by call: answered, from their own events alone, and soon well again.

Without gRPC, so that each fault is seen where it is met; `test_c_redis_down` has whole servers
under load. `SOON_S` is what separates answered from hanging on a busy machine.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest
import structlog
from redis import Redis

from micromoment.scoring.calls import Degraded
from micromoment.stores.errors import SessionStoreUnavailableError
from tests.promises.conftest import Form
from tests.support.feature_stores import a_redis
from tests.support.redis_proxy import RedisProxy, a_redis_proxy
from tests.support.shared_sessions import Replica, a_replica, a_visit, key_of

Server = tuple[subprocess.Popen[bytes], int]  # its process and port
Reached = Callable[[str, str], None]

SOON_S = 5.0
TIMEOUT_S = 0.05
ALONE = (Degraded.STATE_UNAVAILABLE,)


@pytest.fixture
def redis(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A Redis of the test's own: its process and port."""
    with a_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@asynccontextmanager
async def behind_a_proxy(port: int, timeout_s: float) -> AsyncIterator[tuple[Replica, RedisProxy]]:
    """Open the sessions through a proxy."""
    async with a_redis_proxy(port) as proxy, a_replica(proxy.port, timeout_s=timeout_s) as replica:
        yield replica, proxy


async def answered_alone(replica: Replica, calls: int = 8) -> None:
    """Every call is answered from its own events, those of one session one after the other."""
    async with asyncio.timeout(SOON_S):
        for place in range(calls):
            score = await replica.score("s1", f"alone{place}")
            assert score.degraded == ALONE
            assert (score.events_seen, score.last_event_id) == (1, f"alone{place}")


async def back_again(replica: Replica, *, exact: bool = True) -> float:
    """Soon calls see the session again, and say that events of it are missing; gives seconds.

    A write whose answer came too late may have been kept: then more was seen than is `exact`.
    """
    began = time.monotonic()
    async with asyncio.timeout(SOON_S):
        while (score := await replica.score("s1", "back")).degraded == ALONE:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    seconds = time.monotonic() - began
    assert score.degraded == (Degraded.STATE_LOST,)
    assert score.last_event_id == "back"
    assert score.events_seen == 2 or not exact
    assert (await replica.score("s1", "later")).events_seen == score.events_seen + 1
    return seconds


async def test_c1_refused(redis: Server) -> None:
    """Redis refused: 100 % OK with `degraded` and a reason; what can't be answered so says it."""
    process, port = redis
    async with a_replica(port, timeout_s=TIMEOUT_S) as replica:
        await replica.score("s1", "first")
        process.kill()
        process.wait()
        with structlog.testing.capture_logs() as logs:
            await answered_alone(replica)
        assert not replica.store.is_asked()
        for call in (
            replica.score("s1"),
            replica.visits.fold(a_visit("s1", ["x"])),
            replica.visits.session(key_of("s1"), explain=False),
        ):
            with pytest.raises(SessionStoreUnavailableError):
                await call
    assert [log["event"] for log in logs] == ["session_store_unavailable"]
    assert "s1" not in str(logs)


async def test_c2_hung_and_back(redis: Server) -> None:
    """While Redis is stopped, calls wait for the time limit at most; then it is found again."""
    process, port = redis
    async with a_replica(port, timeout_s=TIMEOUT_S) as replica:
        await replica.score("s1", "first")
        os.kill(process.pid, signal.SIGSTOP)
        await answered_alone(replica)
        scores = await asyncio.gather(*(replica.score(f"other{n}", "e") for n in range(50)))
        assert all(score.degraded == ALONE for score in scores)
        os.kill(process.pid, signal.SIGCONT)
        await back_again(replica, exact=False)


async def test_c3_slow(redis: Server, reached: Reached) -> None:
    """Redis slow: replies after the time limit count as none, and reach nobody else."""
    async with behind_a_proxy(redis[1], TIMEOUT_S) as (replica, proxy):
        await replica.score("s1", "first")
        proxy.delay = lambda: 4 * TIMEOUT_S
        await answered_alone(replica)
        proxy.delay = None
        seconds = await back_again(replica, exact=False)
    reached("C3", f"slow: 8 of 8 OK and degraded, healthy {seconds:.1f} s after")


async def test_c3_replies_in_pieces(redis: Server) -> None:
    """A reply that comes in pieces is a reply."""
    async with behind_a_proxy(redis[1], 2.0) as (replica, proxy):
        proxy.piece = 100
        for place in range(5):
            assert (await replica.score("s1", f"e{place}")).degraded == ()
        async with a_replica(redis[1]) as other:
            await other.score("s1", "theirs")
        assert (await replica.score("s1", "mine")).events_seen == 7


async def test_c3_connections_that_break_off(redis: Server, reached: Reached) -> None:
    """Reset in mid-reply: half a reply is no reply; the next connection serves again."""
    async with behind_a_proxy(redis[1], 1.0) as (replica, proxy):
        await replica.score("s1", "first")
        proxy.break_off = True
        await answered_alone(replica)
        proxy.break_off = False
        seconds = await back_again(replica, exact=False)
    reached("C3", f"reset in mid-reply: 8 of 8 OK and degraded, healthy {seconds:.1f} s after")


@pytest.mark.parametrize(
    "error",
    [
        b"LOADING Redis is loading the dataset in memory",
        b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        b"NOAUTH Authentication required.",
        b"ERR max number of clients reached",
    ],
    ids=lambda error: error.split(b" ")[0].decode(),
)
async def test_c3_refusing_everything(redis: Server, error: bytes, reached: Reached) -> None:
    """Errors in place of replies are no state; when they end, the session is there again."""
    async with behind_a_proxy(redis[1], 1.0) as (replica, proxy):
        await replica.score("s1", "first")
        proxy.error = error
        await answered_alone(replica)
        proxy.error = None
        seconds = await back_again(replica)
    word = error.split(b" ")[0].decode()
    reached("C3", f"{word}: 8 of 8 OK and degraded, healthy {seconds:.1f} s after")


def _replica_of_nobody(client: Redis, on: bool) -> None:
    client.replicaof(*(("127.0.0.1", "1") if on else ("NO", "ONE")))


def _without_memory(client: Redis, on: bool) -> None:
    client.config_set("maxmemory", "1" if on else "0")


@pytest.mark.parametrize(
    ("word", "refuse"), [("READONLY", _replica_of_nobody), ("OOM", _without_memory)]
)
async def test_c3_refusing_to_write(
    redis: Server, word: str, refuse: Callable[[Redis, bool], None], reached: Reached
) -> None:
    """A real Redis that takes no writes costs the events of that time, and says so afterwards."""
    async with a_replica(redis[1], timeout_s=1.0) as replica:
        await replica.score("s1", "first")
        with Redis(port=redis[1]) as client:
            refuse(client, True)
            await answered_alone(replica)
            refuse(client, False)
        seconds = await back_again(replica)
    reached("C3", f"{word}: 8 of 8 OK and degraded, healthy {seconds:.1f} s after")


async def test_c1_another_server_says_what_was_lost(redis: Server) -> None:
    """Events that one server answered alone are missing at all of them, and all say so."""
    async with (
        behind_a_proxy(redis[1], 1.0) as (replica, proxy),
        a_replica(redis[1], timeout_s=1.0) as other,
    ):
        await replica.score("s1", "first")
        proxy.error = b"LOADING"
        await answered_alone(replica, calls=2)
        assert (await replica.score("s2", "alone")).degraded == ALONE
        proxy.error = None
        async with asyncio.timeout(SOON_S):
            while (await replica.score("s3", "e")).degraded:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            while replica.store.losses_unsaid:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        for session, seen in (("s1", 2), ("s2", 1)):
            score = await other.score(session, "theirs")
            assert (score.events_seen, score.degraded) == (seen, (Degraded.STATE_LOST,))
        assert (await other.score("s3", "theirs")).degraded == ()


async def test_c1_started_before_redis(redis: Server) -> None:
    """A server that finds no Redis at its start serves, and uses it once it is there."""
    async with a_redis_proxy(redis[1]) as proxy:
        proxy.error = b"LOADING"
        async with a_replica(proxy.port, timeout_s=1.0) as replica:
            assert (await replica.score("s1", "a")).degraded == ALONE
            proxy.error = None
            async with asyncio.timeout(SOON_S):
                while (await replica.score("s2", "a")).degraded:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)


async def test_c5_cancelled_calls_reach_nobody_else(
    redis: Server, form: Form, reached: Reached
) -> None:
    """10,000 calls cancelled or past their deadline at random.

    0 answers with another session's data.
    """
    calls, timeout_s = form(10_000, 50_000), 4 * TIMEOUT_S
    random = Random(5)
    async with behind_a_proxy(redis[1], timeout_s) as (replica, proxy):
        proxy.delay = lambda: (
            2 * timeout_s if random.random() < 0.002 else random.choice((0, 0.001))
        )
        places = iter(range(calls))
        answers = 0

        async def caller() -> None:
            nonlocal answers
            for place in places:
                session = f"s{random.randrange(40)}"
                with suppress(TimeoutError):
                    async with asyncio.timeout(random.choice((0.0005, 0.002, 0.005, 1.0))):
                        score = await replica.score(session, f"{session}/{place}")
                        answers += 1
                        assert score.last_event_id == f"{session}/{place}"

        await asyncio.gather(*(caller() for _ in range(24)))
        proxy.delay = None
    assert answers > calls / 10
    kept = 0
    async with a_replica(redis[1]) as reader:
        for number in range(40):
            held = await reader.store.fetch(key_of(f"s{number}"))
            if held.entry is not None:
                event_ids = held.entry.last_event_id.split(",")
                kept += len(event_ids)
                assert {event_id.split("/")[0] for event_id in event_ids} == {f"s{number}"}
                assert len(set(event_ids)) == len(event_ids)
    assert kept > calls / 10
    reached("C5", f"{calls:,} calls, {answers:,} answered in time: 0 with another session's data")

"""C6: two replicas answer as one, whoever is asked and however calls overlap."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest
from redis import Redis

from micromoment.client import AsyncClient
from tests.promises.conftest import Form
from tests.support.feature_stores import a_redis
from tests.support.replicas import Shoppers, client_of, comparable, send, serving


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis of the test's own."""
    with a_redis(tmp_path) as (_, port):
        yield port


async def test_c6_answers_have_the_bits_of_one_server(
    store: Path, tmp_path: Path, port: int, form: Form, reached: Callable[[str, str], None]
) -> None:
    """Two replicas, nine visits with repeats, each request at either: as the sequential model."""
    shoppers, random = Shoppers(seed=3, sessions=9), Random(4)
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(store, tmp_path / name, redis_port))
            for name, redis_port in (("a", port), ("b", port), ("alone", None))
        ]
        *both, alone = [await stack.enter_async_context(client_of(one)) for one in services]
        answers = 0
        while shoppers.events < form(300, 10_000):
            request = shoppers.request()
            client = random.choice(both)
            ours, theirs = await asyncio.gather(send(client, request), send(alone, request))
            assert comparable(ours) == comparable(theirs)
            assert ours.degraded == []
            answers += 1
    reached(
        "C6", f"{shoppers.events:,} events in {answers:,} requests: each answer the bits of one"
    )
    with Redis(port=port) as redis:
        sessions = list(redis.scan_iter(b"*{*"))
        assert len(sessions) == 18
        assert redis.dbsize() == 20  # with the log and the set of formats
        assert all(0 < int(str(redis.ttl(key))) <= 7_200 for key in sessions)


async def test_c6_no_event_is_lost_or_counted_twice(
    store: Path, tmp_path: Path, port: int, form: Form, reached: Callable[[str, str], None]
) -> None:
    """Both replicas at the same visits at the same time: none lost, none counted twice."""
    shoppers = Shoppers(seed=5, sessions=3)
    requests = []
    while shoppers.events < form(300, 10_000):
        requests.append(shoppers.request())
    waiting = iter(requests)
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(store, tmp_path / name, port))
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
    reached("C6", f"{sum(new.values()):,} distinct events at once: none lost, none twice")

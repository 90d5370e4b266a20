"""Whole servers on a Redis; tests/promises has what they promise together and without it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from micromoment.client import event, score_request
from tests.support.feature_stores import a_redis
from tests.support.replicas import START, client_of, serving
from tests.support.tiny_bundle import make_tiny_store


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

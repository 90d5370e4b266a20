"""The client watches the health of its servers and sends calls where they are answered."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import grpc
import pytest

from micromoment.client import AsyncClient, Client, event
from tests.support.serving import CountingScorer, a_server, an_application
from tests.support.tiny_bundle import make_tiny_store
from training.server_process import ServerProcess

CALLS = 40
WAIT_S = 30.0


async def settled(client: AsyncClient, scorer: CountingScorer, *, gets_calls: bool) -> None:
    """Call, 20 times in a row, until the server gets some of them or none."""
    async with asyncio.timeout(WAIT_S):
        while True:
            before = len(scorer.calls)
            for _ in range(20):
                await client.score("warm", [event("page_view")])
            if (len(scorer.calls) > before) == gets_calls:
                return


async def test_calls_go_to_the_server_that_serves_and_none_fails() -> None:
    """A server that says NOT_SERVING gets no call though it would answer; later it does."""
    scorers = [CountingScorer(), CountingScorer()]
    async with (
        a_server(an_application(scorers[0])) as first,
        a_server(an_application(scorers[1])) as second,
        AsyncClient(f"ipv4:{first.address},{second.address}", deadline_s=WAIT_S) as client,
    ):
        for scorer in scorers:
            await settled(client, scorer, gets_calls=True)
        second.server.health.set_serving(False)
        # From here on no call fails, though the news takes its way.
        await settled(client, scorers[1], gets_calls=False)
        before = [len(scorer.calls) for scorer in scorers]
        for number in range(CALLS):
            await client.score(f"s{number}", [event("page_view")])
        during = [len(scorer.calls) for scorer in scorers]
        second.server.health.set_serving(True)
        await settled(client, scorers[1], gets_calls=True)
    assert during == [before[0] + CALLS, before[1]]


@pytest.mark.parametrize("stops", [0, 1])
async def test_a_server_that_goes_away_costs_no_call(stops: int) -> None:
    """One of two servers says NOT_SERVING and then stops; a client of threads loses nothing."""
    async with a_server(an_application()) as first, a_server(an_application()) as second:
        address = f"ipv4:{first.address},{second.address}"
        with Client(address, deadline_s=WAIT_S) as client:

            def call(calls: int) -> int:
                return sum(
                    client.score(f"s{n}", [event("page_view")]).events_seen > 0
                    for n in range(calls)
                )

            assert await asyncio.to_thread(client.wait_until_ready, WAIT_S)
            running = asyncio.create_task(asyncio.to_thread(call, 300))
            going = (first, second)[stops].server
            await asyncio.sleep(0.05)
            going.health.set_serving(False)
            await asyncio.sleep(0.1)
            going.health.close()
            await going.server.stop(1.0)
            assert await running == 300
            assert await asyncio.to_thread(call, 10) == 10


@pytest.mark.slow
def test_a_frozen_server_is_left_though_its_connection_stays_open(tmp_path: Path) -> None:
    """A process that is stopped by SIGSTOP misses its pings: then all calls go to the other one."""
    make_tiny_store(tmp_path / "store")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                ServerProcess(
                    {
                        "bundle_store": tmp_path / "store",
                        "state_dir": tmp_path / str(number),
                        "drain_lag": 0,
                    },
                    tmp_path / "server.log",
                )
            )
            for number in range(2)
        ]
        addresses = ",".join(server.address for server in servers)
        client = stack.enter_context(Client(f"ipv4:{addresses}", deadline_s=0.2))
        assert client.wait_until_ready(WAIT_S)  # one of them is
        _await_calls_on_both(client, servers)
        os.kill(servers[0].pid, signal.SIGSTOP)
        try:
            missed, in_a_row = 0, 0
            deadline = time.monotonic() + 2 * WAIT_S
            while in_a_row < 40:
                assert time.monotonic() < deadline
                scored = client.try_score("s", [event("page_view")]) is not None
                missed, in_a_row = missed + (not scored), in_a_row + 1 if scored else 0
        finally:
            os.kill(servers[0].pid, signal.SIGCONT)
    # It was frozen, and half of the calls went to it at first.
    assert missed > 0


def _await_calls_on_both(client: Client, servers: Sequence[ServerProcess]) -> None:
    """Call until each server knows a session that came through the client."""
    numbers = count()
    deadline = time.monotonic() + WAIT_S
    for server in servers:
        with Client(server.address, deadline_s=WAIT_S) as own:
            is_known = False
            while not is_known:
                assert time.monotonic() < deadline
                session_id = f"warm-{next(numbers)}"
                client.score(session_id, [event("page_view")], deadline_s=WAIT_S)
                is_known = _knows(own, session_id)


def _knows(own: Client, session_id: str) -> bool:
    try:
        own.get_session(session_id)
    except grpc.RpcError:
        return False
    return True

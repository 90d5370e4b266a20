"""Part A: replicas that are restarted or killed under load."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Sequence
from typing import Any

import grpc

from micromoment.client import AsyncClient, event
from micromoment.client.channel import OPTIONS, SERVICE_CONFIG
from micromoment.client.requests import score_request
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.promises.conftest import Form, Reached, Steady
from tests.support.paced_calls import paced
from tests.support.restarts import Replicas, faults, outside, restarted, scoring
from tests.support.server_process import START_S, Start

GRACE_S = 5
# Every visit's first call waits for its visitor, so that there are always calls in flight.
SLOW_USERS = """
import asyncio, functools
from micromoment.bootstrap import make_service, serve
from micromoment.settings import load_settings
from tests.support.serving import SlowUsers

def make(settings):
    service = make_service(settings, users=SlowUsers(delay_s=0.04))
    {planted}
    return service

serve(load_settings(), make)
"""
# Too slow: it begins its drain when it should have ended.
SLOW_DRAIN = """drain = service.drain
    async def late():
        await asyncio.sleep(3.0)
        await drain()
    service.drain = late
"""
INSIDE_OUT = """drain = service.drain
    async def bare():
        service.slot.fill(object())
        await asyncio.sleep(0.2)
        await drain()
    service.drain = bare
"""


def slow_users(planted: str = "") -> tuple[str, str]:
    """Give the command of a server whose visitors are slow to be known."""
    return "-c", SLOW_USERS.format(planted=planted)


async def test_a1_no_call_fails_while_replicas_are_restarted(
    start: Start, form: Form, reached: Reached
) -> None:
    """SIGTERM at 500 calls/s, two replicas, 10 restarts: 0 failed calls; exit 0 within grace + 1 s.

    The quick form makes 3 restarts at 200 calls/s.
    """
    rounds, rate = form((3, 200), (10, 500))
    replicas = Replicas(start, drain_lag="0.5", drain_grace=str(GRACE_S))
    restarts = await restarted(replicas, rounds, rate)
    longest = max(end.seconds for end in restarts.ends)
    reached(
        "A1",
        f"{len(restarts.calls.failed)} of {len(restarts.calls.outcomes):,} calls failed in "
        f"{rounds} restarts at {rate}/s; ends took {longest:.1f} s at most, 0.5 s of them the lag",
    )
    assert faults(restarts, GRACE_S) == []


async def test_a1_check_sees_a_slow_drain(start: Start, steady: Steady) -> None:
    """A server that takes too long to drain fails the check by its end."""
    beside = [steady.address]
    replicas = Replicas(
        start, slow_users(SLOW_DRAIN), beside=beside, drain_lag="0.5", drain_grace="1"
    )
    restarts = await restarted(replicas, rounds=1, rate=100)
    (found,) = faults(restarts, grace_s=1)
    assert "more than the grace and 1 s" in found


async def test_a1_check_sees_a_drain_from_the_inside_out(start: Start, steady: Steady) -> None:
    """A server that takes its scorer away before it closes its port fails the check by its calls.

    That it closes the port too early alone would not: the retry policy makes up for it.
    """
    beside = [steady.address]
    replicas = Replicas(
        start, slow_users(INSIDE_OUT), beside=beside, drain_lag="0.5", drain_grace="1"
    )
    restarts = await restarted(replicas, rounds=1, rate=100)
    (found,) = faults(restarts, grace_s=1)
    assert "calls failed" in found


def without_retries() -> Sequence[tuple[str, Any]]:
    """Give the client's options but for its retry policy."""
    config = {k: v for k, v in SERVICE_CONFIG.items() if k != "retryThrottling"}
    config["methodConfig"] = [
        {k: v for k, v in one.items() if k not in {"retryPolicy", "timeout"}}
        for one in config["methodConfig"]
    ]
    kept = [option for option in OPTIONS if option[0] != "grpc.service_config"]
    return [*kept, ("grpc.service_config", json.dumps(config)), ("grpc.enable_retries", 0)]


async def test_a2_a_killed_replica_costs_no_call(
    start: Start, form: Form, reached: Reached
) -> None:
    """SIGKILL at 500 calls/s: 0 failed with the retry policy; without it only those in flight.

    The policy is that of the published service config; the quick form makes 200 calls/s.
    """
    rounds, rate = form((2, 200), (10, 500))
    replicas = Replicas(start, slow_users())
    await replicas.begin()
    plain = grpc.aio.insecure_channel(replicas.target, options=without_retries())
    ends = []
    async with AsyncClient(replicas.target, deadline_s=10) as client, plain:
        stub: Any = ScoringServiceStub(plain)

        def call_plainly(number: int) -> Any:  # noqa: ANN401 - a call of grpc.aio
            request = score_request(f"p{number}", [event("page_view")], anonymous_id=f"w{number}")
            return stub.Score(request, timeout=10)

        assert await client.wait_until_ready(START_S)
        await plain.channel_ready()
        async with (
            paced(scoring(client), rate / 2) as retried,
            paced(call_plainly, rate / 2) as unprotected,
        ):
            await asyncio.sleep(0.5)
            for number in range(rounds):
                ends.append(await replicas.end(number % 2, signal.SIGKILL))
                if number + 1 < rounds:
                    await replicas.begin_again(number % 2)
                    await asyncio.sleep(2.5)  # both clients have tried the port again by then
            await asyncio.sleep(0.2)
    others = outside(unprotected.failed, ends, spare_s=0.1)
    reached(
        "A2",
        f"{len(retried.failed)} of {len(retried.outcomes):,} calls failed with retries, "
        f"{len(unprotected.failed)} of {len(unprotected.outcomes):,} without, {len(others)} of "
        f"those not in flight; {rounds} kills at {rate}/s",
    )
    assert retried.failed == []
    assert others == []

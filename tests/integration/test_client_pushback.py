"""The clients and a server that has too many calls."""

from __future__ import annotations

import asyncio

import grpc

from micromoment.client import AsyncClient, Client, event, score_request
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.support.serving import a_server, an_application


async def code_of(call: grpc.aio.UnaryUnaryCall) -> grpc.StatusCode:
    """Tell how a call ended."""
    code: grpc.StatusCode = await call.code()
    return code


async def test_a_burst_that_grpc_drops_in_part_is_tried_again() -> None:
    """Of fifty calls at once some are dropped; the clients' retries get them answered."""
    async with a_server(an_application(), max_waiting=32, max_concurrent=500) as server:
        async with server.channel() as channel:
            stub = ScoringServiceStub(channel)
            requests = [score_request(f"a{n}", [event("page_view")]) for n in range(50)]
            plain = await asyncio.gather(*(code_of(stub.Score(one)) for one in requests))
        async with AsyncClient(server.address, deadline_s=5.0) as client:
            calls = (client.score(f"b{n}", [event("page_view")]) for n in range(50))
            replies = await asyncio.gather(*calls)
    assert set(plain) == {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}
    assert [reply.events_seen for reply in replies] == [1] * 50


async def test_a_server_that_pushes_back_gets_fewer_calls() -> None:
    """A full server refuses a few of two hundred calls; the others are not sent."""
    async with a_server(an_application(), max_concurrent=0) as server:
        async with AsyncClient(server.address, deadline_s=5.0) as client:
            for number in range(200):
                reply = await client.try_score(f"s{number}", [event("page_view")])
                assert reply is None
        sent = server.server.arrivals.count()

        def ask() -> None:
            with Client(server.address, deadline_s=5.0) as client:
                for number in range(200):
                    assert client.try_score(f"t{number}", [event("page_view")]) is None

        await asyncio.to_thread(ask)
        also_sent = server.server.arrivals.count() - sent
    assert 0 < sent < 100
    assert 0 < also_sent < 100

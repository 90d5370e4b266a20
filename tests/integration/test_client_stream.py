"""The client's stream: many visits at once, errors of their own, streams that end."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from micromoment.client import AsyncClient, event
from micromoment.client.stream import ScoreRefusedError
from tests.support.serving import SlowUsers, a_server, an_application


async def test_visits_share_a_stream() -> None:
    """Each call gets its own visit's answer, also while a first call waits for its visitor."""
    application = an_application(users=SlowUsers(delay_s=0.05))
    async with (
        a_server(application, max_concurrent=100) as server,
        AsyncClient(server.address) as client,
        client.stream() as stream,
    ):
        calls = [
            stream.score(f"s{n % 5}", [event("page_view", event_id=f"e{n}")], anonymous_id="a")
            for n in range(50)
        ]
        replies = await asyncio.gather(*calls)
        assert server.streams_open == 1
    for number, reply in enumerate(replies):
        assert (reply.session_id, reply.last_event_id) == (f"s{number % 5}", f"e{number}")
        assert reply.events_seen == number // 5 + 1


async def test_a_refused_request_raises_and_the_stream_goes_on() -> None:
    """With the status that Score would have ended with."""
    async with (
        a_server(an_application()) as server,
        AsyncClient(server.address) as client,
        client.stream() as stream,
    ):
        with pytest.raises(ScoreRefusedError, match="session") as caught:
            await stream.score("unknown")
        assert caught.value.code == grpc.StatusCode.NOT_FOUND.value[0]
        assert (await stream.score("s1", [event("page_view")])).events_seen == 1


async def test_a_stream_that_was_ended_is_opened_again() -> None:
    """Idle streams end on the server; the next call does not notice."""
    async with (
        a_server(an_application(), stream_idle_s=0.1) as server,
        AsyncClient(server.address) as client,
        client.stream() as stream,
    ):
        await stream.score("s1", [event("page_view")])
        await asyncio.sleep(0.4)
        assert server.streams_open == 0
        assert (await stream.score("s1", [event("page_view")])).events_seen == 2


async def test_calls_have_a_deadline() -> None:
    """A visitor's features that take too long cost the answer, not the page."""
    application = an_application(users=SlowUsers(delay_s=5.0), user_timeout_s=5.0)
    async with (
        a_server(application) as server,
        AsyncClient(server.address, deadline_s=0.2) as client,
        client.stream() as stream,
    ):
        with pytest.raises(TimeoutError):
            await stream.score("s1", [event("page_view")], anonymous_id="a")


async def test_a_request_that_is_too_large_costs_no_other_its_answer() -> None:
    """It is refused before it is sent: on the stream it would end what others asked, too."""
    big = [event("page_view", attributes={"note": "x" * 256}) for _ in range(1_000)]
    async with (
        a_server(an_application(), max_concurrent=100) as server,
        AsyncClient(server.address) as client,
        client.stream() as stream,
    ):
        calls = [stream.score(f"s{n}", [event("page_view")]) for n in range(20)]
        calls.insert(10, stream.score("big", big))
        replies = await asyncio.gather(*calls, return_exceptions=True)
    (refused,) = (one for one in replies if isinstance(one, BaseException))
    assert isinstance(refused, ScoreRefusedError)
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]


async def test_a_call_s_own_deadline_goes_before_the_stream_s() -> None:
    """Shorter or longer."""
    application = an_application(users=SlowUsers(delay_s=0.3))
    async with (
        a_server(application) as server,
        AsyncClient(server.address, deadline_s=5.0) as client,
        client.stream() as stream,
    ):
        with pytest.raises(TimeoutError):
            await stream.score("s1", [event("page_view")], anonymous_id="a", deadline_s=0.05)


async def test_without_a_server_calls_fail() -> None:
    """Within the deadline, as other calls do."""
    async with AsyncClient("127.0.0.1:1", deadline_s=0.5) as client, client.stream() as stream:
        with pytest.raises((grpc.RpcError, TimeoutError)):
            await stream.score("s1", [event("page_view")])


async def test_closing_ends_what_waits() -> None:
    """Nobody waits for an answer that can't come any more."""
    application = an_application(users=SlowUsers(delay_s=5.0), user_timeout_s=5.0)
    async with a_server(application) as server, AsyncClient(server.address) as client:
        async with client.stream() as stream:
            waiting = asyncio.create_task(
                stream.score("s1", [event("page_view")], anonymous_id="a")
            )
            await asyncio.sleep(0.1)
        with pytest.raises(asyncio.CancelledError):
            await waiting

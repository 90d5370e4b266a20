"""Pages get an answer whatever the service does: real servers, real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import grpc
import pytest

from micromoment.client import (
    AsyncClient,
    Client,
    Fallback,
    FallbackReason,
    consent,
    event,
    is_fallback,
    may_personalize,
    score_request,
)
from micromoment.features.user_snapshot import UserLookup
from micromoment.v1 import scoring_pb2 as pb
from tests.support.serving import CountingScorer, SlowUsers, a_server, an_application
from tests.support.troubles import TROUBLES, an_address_of

DEADLINE_S = 0.02
# A call that knows no deadline would take this long at least, and fail the test.
FOREVER_S = 30.0
Result = TypeVar("Result")
GONE = {FallbackReason.DEADLINE, FallbackReason.UNAVAILABLE}


@dataclass
class WatchedUsers(SlowUsers):
    """Tells when it was asked."""

    under_way: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def look_up(self, visitor_id: str) -> UserLookup:
        """Say so, wait, then answer."""
        async with self.news:
            self.under_way += 1
            self.news.notify_all()
        return await super().look_up(visitor_id)

    async def asked_of(self, visitors: int) -> None:
        """Wait until so many look-ups are under way."""
        async with self.news:
            await self.news.wait_for(lambda: self.under_way >= visitors)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_fallback_respects_what_its_request_says(trouble: str) -> None:
    """Who denied personalization is not treated by the shop's usual answer either."""
    usual = pb.ScoreResponse(conversion=0.02)
    usual.audiences.add(segment_id="everybody")
    with an_address_of(trouble) as address:

        def use() -> list[pb.ScoreResponse]:
            with Client(address, deadline_s=DEADLINE_S, fallback=usual) as client:
                visit = [event("page_view")]
                return [
                    client.score_or_fallback("s", visit),
                    client.score_or_fallback("s", visit, consent=consent(personalization="denied")),
                ]

        plain, denied = in_a_thread(use)
    assert (len(plain.audiences), may_personalize(plain)) == (1, True)
    assert (len(denied.audiences), may_personalize(denied)) == (0, False)
    assert is_fallback(denied)


def in_a_thread(work: Callable[[], Result]) -> Result:
    """Run `work`, which must end."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(work).result(FOREVER_S)
    finally:
        pool.shutdown(wait=False)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_page_gets_its_fallback_from_the_first_call_on(trouble: str) -> None:
    """With nobody there each call ends with the fallback, marked, counted and told."""
    told: list[Fallback] = []
    usual = pb.ScoreResponse(conversion=0.02)
    with an_address_of(trouble) as address:

        def use() -> tuple[list[pb.ScoreResponse], dict[FallbackReason, int]]:
            with Client(
                address, deadline_s=DEADLINE_S, fallback=usual, on_fallback=told.append
            ) as client:
                visit = [event("page_view")]
                return [
                    client.score_or_fallback(f"s{n}", visit) for n in range(5)
                ], client.fallback_counts()

        replies, counts = in_a_thread(use)
    assert [reply.session_id for reply in replies] == [f"s{n}" for n in range(5)]
    assert all(is_fallback(reply) and reply.conversion == 0.02 for reply in replies)
    assert not is_fallback(usual)
    assert [one.session_id for one in told] == [f"s{n}" for n in range(5)]
    assert {one.reason for one in told} <= GONE
    assert {reason: sum(one.reason is reason for one in told) for reason in counts} == counts


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_the_same_for_asyncio(trouble: str) -> None:
    """Calls that overlap are answered each, and the loop goes on meanwhile."""
    with an_address_of(trouble) as address:
        async with (
            asyncio.timeout(FOREVER_S),
            AsyncClient(address, deadline_s=DEADLINE_S) as client,
        ):
            replies = await asyncio.gather(
                *(client.score_or_fallback(f"s{n}", [event("page_view")]) for n in range(5))
            )
            counts = client.fallback_counts()
            assert not await client.wait_until_ready(DEADLINE_S)
    assert [reply.session_id for reply in replies] == [f"s{n}" for n in range(5)]
    assert all(is_fallback(reply) for reply in replies)
    assert sum(counts.values()) == sum(counts[reason] for reason in GONE) == 5


async def test_a_server_that_hangs_costs_the_deadline_and_no_more() -> None:
    """A call that is answered too late has its fallback long before."""
    application = an_application(users=SlowUsers(delay_s=FOREVER_S), user_timeout_s=FOREVER_S)
    async with (
        a_server(application) as server,
        AsyncClient(server.address, deadline_s=DEADLINE_S) as client,
        asyncio.timeout(FOREVER_S / 2),
    ):
        assert await client.wait_until_ready(FOREVER_S)
        reply = await client.score_or_fallback("s", [event("page_view")], anonymous_id="a")
        counts = client.fallback_counts()
    assert is_fallback(reply)
    assert counts[FallbackReason.DEADLINE] == 1


async def test_the_services_own_answer_is_no_fallback() -> None:
    """With a server there the answer is its own, and nothing is counted."""
    async with a_server(an_application()) as server:

        def use() -> tuple[pb.ScoreResponse, dict[FallbackReason, int]]:
            with Client(server.address, deadline_s=5.0) as client:
                assert client.wait_until_ready(FOREVER_S)
                return client.score_or_fallback("s", [event("page_view")]), client.fallback_counts()

        reply, counts = await asyncio.to_thread(use)
    assert reply.events_seen == 1
    assert not is_fallback(reply)
    assert not any(counts.values())


async def test_a_server_that_loads_is_not_ready() -> None:
    """Its health says NOT_SERVING, so the client does not take it for one that answers."""
    async with a_server(None) as server:

        def use() -> tuple[bool, pb.ScoreResponse, dict[FallbackReason, int]]:
            with Client(server.address, deadline_s=DEADLINE_S) as client:
                ready = client.wait_until_ready(0.3)
                reply = client.score_or_fallback("s", [event("page_view")])
                return ready, reply, client.fallback_counts()

        ready, reply, counts = await asyncio.to_thread(use)
    assert not ready
    assert is_fallback(reply)
    assert sum(counts[reason] for reason in GONE) == 1


async def test_a_mistake_in_the_request_breaks_no_page_and_says_what_it_is() -> None:
    """What the server refuses is a fallback whose reason and detail name the mistake."""
    told: list[Fallback] = []
    bad = event("page_view", utc_offset_minutes=9_999)
    async with (
        a_server(an_application()) as server,
        AsyncClient(server.address, deadline_s=5.0, on_fallback=told.append) as client,
    ):
        assert is_fallback(await client.score_or_fallback("s", [bad]))
        assert is_fallback(await client.score_or_fallback("never"))
    assert [one.reason for one in told] == [FallbackReason.REFUSED, FallbackReason.UNKNOWN_SESSION]
    assert "events[0].utc_offset_minutes" in told[0].detail


async def test_a_server_at_its_limit_or_at_fault_breaks_no_page() -> None:
    """RESOURCE_EXHAUSTED and INTERNAL have reasons of their own."""
    reasons = {}
    for name, application, limit in (
        ("full", an_application(), 0),
        ("wrong", an_application(CountingScorer(failure=KeyError("x"))), 8),
    ):
        async with (
            a_server(application, max_concurrent=limit) as server,
            AsyncClient(server.address, deadline_s=5.0) as client,
        ):
            assert is_fallback(await client.score_or_fallback("s", [event("page_view")]))
            counts = client.fallback_counts()
            reasons[name] = [reason for reason, count in counts.items() if count]
    assert reasons == {"full": [FallbackReason.OVERLOADED], "wrong": [FallbackReason.FAILED]}


async def test_a_hook_that_fails_breaks_no_page(caplog: pytest.LogCaptureFixture) -> None:
    """What `on_fallback` raises is logged, and the fallback is there."""

    def broken(_: Fallback) -> None:
        raise RuntimeError("no metrics today")

    with an_address_of("refused") as address:
        async with AsyncClient(address, deadline_s=DEADLINE_S, on_fallback=broken) as client:
            assert is_fallback(await client.score_or_fallback("s", [event("page_view")]))
    assert "no metrics today" in caplog.text


async def test_a_closed_client_still_answers_pages() -> None:
    """While an application ends, its last pages get the fallback, not an exception."""
    sync = Client("127.0.0.1:1", deadline_s=DEADLINE_S)
    sync.close()
    client = AsyncClient("127.0.0.1:1", deadline_s=DEADLINE_S)
    await client.close()
    assert is_fallback(sync.score_or_fallback("s"))
    assert is_fallback(await client.score_or_fallback("s"))
    assert sync.fallback_counts()[FallbackReason.UNAVAILABLE] == 1
    assert client.fallback_counts()[FallbackReason.UNAVAILABLE] == 1


async def test_closing_ends_calls_with_the_fallback_and_cancelling_cancels() -> None:
    """A page whose client is closed is answered; a task that is cancelled ends."""
    users = WatchedUsers(delay_s=FOREVER_S)
    async with a_server(an_application(users=users, user_timeout_s=FOREVER_S)) as server:
        client = AsyncClient(server.address, deadline_s=FOREVER_S)
        assert await client.wait_until_ready(FOREVER_S)
        calls = [
            asyncio.create_task(
                client.score_or_fallback(f"s{n}", [event("page_view")], anonymous_id="a")
            )
            for n in range(2)
        ]
        await users.asked_of(2)
        calls[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await calls[0]
        await client.close()
        assert is_fallback(await calls[1])
        assert sum(client.fallback_counts().values()) == 1


async def test_a_call_may_have_a_deadline_of_its_own() -> None:
    """It goes before the client's, whether shorter or longer."""
    application = an_application(users=SlowUsers(delay_s=0.2))
    visit = [event("page_view")]
    async with (
        a_server(application) as server,
        AsyncClient(server.address, deadline_s=DEADLINE_S) as patient,
        AsyncClient(server.address, deadline_s=FOREVER_S) as hurried,
    ):
        assert await patient.wait_until_ready(FOREVER_S)
        assert await hurried.wait_until_ready(FOREVER_S)
        longer = await patient.score("s1", visit, anonymous_id="a", deadline_s=FOREVER_S)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await hurried.score("s2", visit, anonymous_id="a", deadline_s=DEADLINE_S)
        (batched,) = await patient.batch_score([score_request("s1")], deadline_s=FOREVER_S)
    assert longer.events_seen == batched.response.events_seen == 1
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

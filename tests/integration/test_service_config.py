"""The published service config does what it says, on a plain channel that knows nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from micromoment.client import AsyncClient, event, score_request
from micromoment.scoring.calls import ScoreCall
from micromoment.scoring.scorer import Scored
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.support.serving import CountingScorer, SlowUsers, a_server, an_application

FILE = (
    Path(__file__).parents[2] / "protos/micromoment/v1/micromoment_grpc_service_config.json"
).read_text(encoding="utf-8")
REQUEST = score_request("s", [event("page_view")], anonymous_id="a")


@dataclass
class FailingScorer(CountingScorer):
    """Is unavailable so many times, then answers."""

    failures: int = 0

    def score(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Scored:
        """Fail or count."""
        if self.failures:
            self.failures -= 1
            raise SessionStoreUnavailableError
        return super().score(call, entry, lost=lost)


@asynccontextmanager
async def a_plain_stub(*addresses: str) -> AsyncIterator[Any]:
    """Call servers as a client in any language does: the file, and no option besides."""
    target = f"ipv4:{','.join(addresses)}"
    options = (("grpc.service_config", FILE), ("grpc.enable_http_proxy", 0))
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        yield ScoringServiceStub(channel)


async def test_a_call_without_a_deadline_has_one() -> None:
    """A server that hangs is given up, with no deadline at the call."""
    application = an_application(users=SlowUsers(delay_s=600.0), user_timeout_s=600.0)
    async with (
        a_server(application, default_deadline_s=600.0) as server,
        a_plain_stub(server.address) as stub,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Score(REQUEST)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("failures", [1, 4])
async def test_a_call_is_repeated_while_the_server_is_unavailable(failures: int) -> None:
    """Up to four failures cost the caller nothing but time; the client behaves alike."""
    scorer = FailingScorer(failures=failures)
    async with a_server(an_application(scorer)) as server:
        async with a_plain_stub(server.address) as stub:
            plain = await stub.Score(REQUEST)
        scorer.failures = failures
        async with AsyncClient(server.address, deadline_s=30) as client:
            ours = await client.score("s", [event("page_view")])
    assert (plain.events_seen, ours.events_seen) == (1, 2)
    assert scorer.failures == 0


async def test_a_call_is_not_repeated_for_ever() -> None:
    """The fifth failure is the caller's."""
    scorer = FailingScorer(failures=100)
    async with a_server(an_application(scorer)) as server, a_plain_stub(server.address) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Score(REQUEST)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert scorer.failures == 95


async def test_calls_go_where_health_says_serving() -> None:
    """One server of two loads: all calls go to the other, none fails."""
    scorer = CountingScorer()
    async with (
        a_server(None) as loading,
        a_server(an_application(scorer)) as serving,
        a_plain_stub(loading.address, serving.address) as stub,
    ):
        for _ in range(20):
            await stub.Score(REQUEST)
    assert len(scorer.calls) == 20

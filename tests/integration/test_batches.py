"""BatchScore on a real server: order within a session, errors in place, visitors looked up."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from micromoment.client import event
from micromoment.events.record import EventBatch
from micromoment.features.user_snapshot import UserStatus
from micromoment.scoring.calls import ScoreCall
from micromoment.scoring.scorer import Scored
from micromoment.scoring.sessions import SessionEntry
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.support.serving import CountingScorer, RunningServer, SlowUsers, a_server, an_application


def a_request(session_id: str, *event_ids: str) -> pb.ScoreRequest:
    """Make a request with one page view for each id."""
    events = [event("page_view", event_id=event_id) for event_id in event_ids]
    return pb.ScoreRequest(session_id=session_id, anonymous_id=f"of {session_id}", events=events)


async def results_of(
    server: RunningServer, requests: Sequence[pb.ScoreRequest]
) -> list[pb.BatchScoreResult]:
    """Ask for a batch."""
    async with server.channel() as channel:
        stub = ScoringServiceStub(channel)
        reply = await stub.BatchScore(pb.BatchScoreRequest(requests=requests))
    return list(reply.results)


async def test_requests_of_one_session_keep_their_order() -> None:
    """Three hundred requests of seven sessions: each counts on from its session's last."""
    users = SlowUsers(delay_s=0.001, status=UserStatus.UNKNOWN)
    requests = [a_request(f"s{n % 7}", f"e{n}") for n in range(300)]
    async with a_server(an_application(users=users)) as server:
        results = await results_of(server, requests)
    for number, result in enumerate(results):
        assert result.response.session_id == f"s{number % 7}"
        assert result.response.events_seen == number // 7 + 1
        assert result.response.last_event_id == f"e{number}"
    assert sorted(users.asked) == [f"of s{n}" for n in range(7)]


async def test_each_item_fails_by_itself() -> None:
    """What breaks the contract, and what isn't known, has its status in its own place."""
    requests = [a_request("s1", "e1"), a_request(""), a_request("s2"), a_request("s1", "e2")]
    async with a_server(an_application()) as server:
        results = await results_of(server, requests)
    codes = [result.status.code for result in results]
    assert codes[1] == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert codes[2] == grpc.StatusCode.NOT_FOUND.value[0]
    assert [results[0].response.events_seen, results[3].response.events_seen] == [1, 2]


class FailingScorer(CountingScorer):
    """Fails for one session, in a way that nobody expects, and so does a pass that holds it."""

    def score(self, call: ScoreCall, entry: SessionEntry | None, *, lost: bool) -> Scored:
        """Fail for the session."""
        if call.key.session_id == "bad":
            raise KeyError("jane@example.com")
        return super().score(call, entry, lost=lost)

    def needs_user(self, entry: SessionEntry | None, batch: EventBatch) -> bool:  # noqa: ARG002 - the scorer's
        """Need nobody."""
        return False


async def test_an_unexpected_error_is_one_item_s() -> None:
    """The others of its pass are scored, each once."""
    requests = [a_request(name, "e1") for name in ("s1", "bad", "s2")]
    async with a_server(an_application(FailingScorer())) as server:
        results = await results_of(server, requests)
    assert [result.response.events_seen for result in results] == [1, 0, 1]
    assert results[1].status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "jane" not in str(results[1])

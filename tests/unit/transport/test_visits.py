"""Looking visitors up, and taking turns."""

from __future__ import annotations

import asyncio

import pytest

from micromoment.client import event
from micromoment.events.identity import IdEncoder, IdKey
from micromoment.features.user_snapshot import UserLookup, UserStatus, no_lookup
from micromoment.scoring.calls import SessionKey
from micromoment.security.callers import CALLER, Caller
from micromoment.stores.sessions import MemorySessionStore
from micromoment.transport.turns import Turns
from micromoment.v1 import scoring_pb2
from tests.support.serving import CountingScorer, SlowUsers, an_application

KEY = SessionKey("default", "s1")


def a_request(*event_ids: str, user_id: str = "u") -> scoring_pb2.ScoreRequest:
    """Make a request of session s1."""
    events = [event("page_view", event_id=event_id) for event_id in event_ids]
    return scoring_pb2.ScoreRequest(session_id="s1", user_id=user_id, events=events)


async def test_a_visitor_is_looked_up_once_per_session() -> None:
    """Only the call that begins the session asks the store."""
    scorer, users = CountingScorer(), SlowUsers(status=UserStatus.FOUND)
    application = an_application(scorer, users)
    for event_id in ("e1", "e2"):
        await application.visits.score(application.decoder.score_call(a_request(event_id)))
    statuses = [call.user and call.user.status for call in scorer.calls]
    assert users.asked == ["u"]
    assert statuses == [UserStatus.FOUND, None]


async def test_a_visitor_without_an_id_is_unknown_and_not_looked_up() -> None:
    """Somebody without any id has no history: counts are 0, not missing."""
    scorer, users = CountingScorer(), SlowUsers(status=UserStatus.FOUND)
    application = an_application(scorer, users)
    await application.visits.score(application.decoder.score_call(a_request("e1", user_id="")))
    user = scorer.calls[0].user
    assert users.asked == []
    assert user is not None
    assert user.status is UserStatus.UNKNOWN


async def test_a_visitor_is_sought_under_earlier_keys_too() -> None:
    """When the current pseudonym is unknown the previous one is tried."""

    class OldUsers(SlowUsers):
        """Knows the pseudonym of the old key only."""

        async def look_up(self, visitor_id: str) -> UserLookup:
            """Answer for the old key."""
            await super().look_up(visitor_id)
            return no_lookup(UserStatus.FOUND if visitor_id[:2] == "k1" else UserStatus.UNKNOWN)

    ids = IdEncoder([IdKey("k2", b"2" * 16), IdKey("k1", b"1" * 16)])
    scorer, users = CountingScorer(), OldUsers()
    application = an_application(scorer, users, ids=ids)
    await application.visits.score(application.decoder.score_call(a_request("e1")))
    user = scorer.calls[0].user
    assert [asked[:2] for asked in users.asked] == ["k2", "k1"]
    assert user is not None
    assert user.status is UserStatus.FOUND


async def test_a_failed_call_gives_its_turn_back() -> None:
    """After an error the session is not blocked and nothing is remembered of it."""
    scorer = CountingScorer(failure=ValueError())
    application = an_application(scorer)
    with pytest.raises(ValueError):  # noqa: PT011 - it has no message
        await application.visits.score(application.decoder.score_call(a_request("e1")))
    scorer.failure = None
    score = await application.visits.score(application.decoder.score_call(a_request("e1")))
    assert score.events_seen == 1


async def test_a_cancelled_call_folds_nothing() -> None:
    """A caller that leaves while the visitor is looked up leaves no trace."""
    sessions = MemorySessionStore(10, 3_600)
    application = an_application(users=SlowUsers(delay_s=5.0), sessions=sessions)
    visit = application.decoder.score_call(a_request("e1"))
    task = asyncio.ensure_future(application.visits.score(visit))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(sessions) == 0


async def test_turns_are_taken_in_order_of_arrival() -> None:
    """Calls of one session pass one by one; those of another don't wait for them."""
    turns, order = Turns(), []

    async def call(key: SessionKey, name: str, wait_s: float) -> None:
        async with turns.of(key):
            await asyncio.sleep(wait_s)
            order.append(name)

    other = SessionKey("default", "s2")
    await asyncio.gather(
        call(KEY, "a", 0.05), call(KEY, "b", 0.0), call(KEY, "c", 0.0), call(other, "x", 0.0)
    )
    assert order == ["x", "a", "b", "c"]
    assert len(turns) == 0


async def test_a_call_that_gives_up_waiting_leaves_the_others_in_order() -> None:
    """Cancelling one that waits changes nothing for those before and behind it."""
    turns, order = Turns(), []

    async def call(name: str) -> None:
        async with turns.of(KEY):
            await asyncio.sleep(0.02)
            order.append(name)

    tasks = [asyncio.ensure_future(call(name)) for name in "abc"]
    await asyncio.sleep(0.01)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["a", "c"]
    assert not turns.taken(KEY)


async def test_another_tenants_visitor_is_unknown_and_not_looked_up() -> None:
    """The workspace is one tenant's: its rows are nobody else's, whatever the visitor's id."""
    scorer, users = CountingScorer(), SlowUsers(status=UserStatus.FOUND)
    application = an_application(scorer, users)
    statuses = []
    for tenant in ("shop-b", "default"):
        before = CALLER.set(Caller(tenant))
        visit = application.decoder.score_call(a_request("e1"))
        CALLER.reset(before)
        await application.visits.score(visit)
        user = scorer.calls[-1].user
        assert user is not None
        statuses.append((visit.call.key.tenant, user.status, len(users.asked)))
    assert statuses == [("shop-b", UserStatus.UNKNOWN, 0), ("default", UserStatus.FOUND, 1)]

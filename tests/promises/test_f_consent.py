"""F6: what a server keeps of visitors who denied analytics, and of those who withdrew: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from micromoment.client import consent, event, item
from micromoment.client.requests import ScoreOptions
from micromoment.v1 import events_pb2, scoring_pb2
from tests.promises.conftest import Form, Reached
from tests.support.consenting import NOW, Served, a_consenting_server, files_with, redis_with
from tests.support.feature_stores import a_redis, a_workspace, published
from tests.support.front_door import a_door
from training.feature_store import materialize

SESSION = "canary-session"
VISITOR = "canary-visitor"
ITEM = "canary-item"
EVENT = "canary-event"
CANARIES = (SESSION, VISITOR, ITEM, EVENT)
DENIED = consent(analytics="denied")
GRANTED = consent(analytics="granted")


@dataclass(frozen=True)
class Place:
    """Where a server keeps things: folders, and a Redis or none."""

    store: Path
    features: Path
    state: Path
    redis_port: int | None

    @asynccontextmanager
    async def served(self, **settings: Any) -> AsyncIterator[Served]:  # noqa: ANN401 - of several types
        """Serve from here."""
        if self.redis_port is None:
            settings["state_file"] = self.state / "sessions"
        else:
            settings["session_store"] = f"redis://127.0.0.1:{self.redis_port}"
        async with a_consenting_server(self.store, self.state, self.features, **settings) as one:
            yield one

    @property
    def name(self) -> str:
        """Say where sessions are kept."""
        return "memory" if self.redis_port is None else "Redis"

    def traces(self, *words: str) -> int:
        """Count the canaries in every file and in every key and value of Redis."""
        found = files_with(self.state, words or CANARIES)
        if self.redis_port is not None:
            for word, times in redis_with(self.redis_port, words or CANARIES).items():
                found[word] += times
        return sum(found.values())


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published workspace of Feast."""
    workspace = a_workspace(tmp_path_factory.mktemp("workspace"))
    materialize(workspace, published(3))
    return workspace.root


@pytest.fixture(params=["memory", "redis"])
def place(
    request: pytest.FixtureRequest, store: Path, features: Path, tmp_path: Path
) -> Iterator[Place]:
    """Where a server keeps things."""
    state = tmp_path / "state"
    state.mkdir()
    if request.param == "memory":
        yield Place(store, features, state, None)
        return
    with a_redis(tmp_path) as (_, port):
        yield Place(store, features, state, port)


def an_event(number: int, own: events_pb2.Consent | None = None) -> events_pb2.Event:
    """Make a visit's event, all of whose ids are canaries."""
    kind = ("page_view", "item_view", "cart_add", "scroll")[number % 4]
    return event(
        kind,
        event_id=f"{EVENT}-{number}",
        event_time=NOW,
        items=[item(f"{ITEM}-{number % 5}", price="19.99", quantity=1)],
        page=f"/{ITEM}",
        consent=own,
    )


def a_request(
    number: int, said: events_pb2.Consent | None, session: str = SESSION, own: bool = False
) -> scoring_pb2.ScoreRequest:
    """Ask for scores of an event; what is said of consent is the request's, or the event's own."""
    return scoring_pb2.ScoreRequest(
        session_id=session,
        anonymous_id=VISITOR,
        events=[an_event(number, said if own else None)],
        consent=None if own else said,
        explain=number % 50 == 0,
    )


async def ask(
    served: Served, requests: list[scoring_pb2.ScoreRequest]
) -> list[scoring_pb2.ScoreResponse]:
    """Ask in each way there is, in turn: by call, batch, stream and HTTP."""
    replies: list[scoring_pb2.ScoreResponse] = []
    async with a_door(served.application) as door, served.client.stream() as stream:
        for number, request in enumerate(requests):
            way = number % 4
            options = ScoreOptions(anonymous_id=VISITOR, explain=request.explain)
            if request.HasField("consent"):
                options["consent"] = request.consent
            if way == 0:
                replies.append(
                    await served.client.score(request.session_id, request.events, **options)
                )
            elif way == 1:
                (result,) = await served.client.batch_score([request])
                replies.append(result.response)
            elif way == 2:
                replies.append(await stream.score(request.session_id, request.events, **options))
            else:
                reply = await door.call("Score", request)
                assert isinstance(reply, scoring_pb2.ScoreResponse)
                replies.append(reply)
    return replies


async def is_kept(served: Served, session: str = SESSION) -> bool:
    """Tell whether a visit is known."""
    try:
        await served.client.get_session(session)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        return False
    return True


async def test_f6_nothing_is_kept_of_who_denies_analytics(
    place: Place, form: Form, reached: Reached
) -> None:
    """F6: analytics denied from the first event: nothing stored, no Feast read, still an answer."""
    calls = form(200, 5_000)
    async with place.served() as served:
        before = served.users.reads
        requests = [a_request(number, DENIED, own=number % 2 == 0) for number in range(calls)]
        replies = await ask(served, requests)
        for reply in replies:
            assert reply.HasField("conversion")
            assert (reply.events_seen, reply.score_id) == (1, "")
            assert reply.consent.analytics == events_pb2.CONSENT_STATE_DENIED
            assert list(reply.consent.not_kept) == [
                events_pb2.NotKept(reason=events_pb2.NOT_KEPT_REASON_DENIED, events=1)
            ]
            assert not reply.degraded
        taken = await served.client.ingest(
            [an_event(1)], session_id=SESSION, anonymous_id=VISITOR, consent=DENIED
        )
        outside = await served.client.ingest(
            [event("purchase", event_id=EVENT, event_time=NOW, order_id=ITEM, consent=DENIED)],
            anonymous_id=VISITOR,
        )
        for told in (taken, outside):
            assert (told.accepted, told.duplicates, len(told.errors)) == (0, 0, 0)
            assert [one.events for one in told.consent.not_kept] == [1]
        assert served.users.reads == before
        assert not await is_kept(served)
        assert place.traces() == 0
    assert place.traces() == 0
    reached("F6", f"{place.name}: {calls} calls, 0 traces, 0 reads")


async def test_f6_the_search_finds_who_granted(place: Place) -> None:
    """F6: the same search finds every canary, and Feast is read, where analytics are granted."""
    async with place.served() as served:
        await ask(served, [a_request(number, GRANTED) for number in range(8)])
        assert served.users.reads == 1
        assert await is_kept(served)
        assert all(place.traces(word) for word in CANARIES)


async def test_f6_a_withdrawal_leaves_nothing(place: Place, reached: Reached) -> None:
    """F6: consent withdrawn in mid-session: 0 traces, also after a restart and with late events."""
    async with place.served() as served:
        await ask(served, [a_request(number, None) for number in range(20)])
        assert place.traces() > 0
        reply = await served.client.score(SESSION, [an_event(20, DENIED)], anonymous_id=VISITOR)
        assert reply.consent.withdrawal == events_pb2.WITHDRAWAL_DONE
        assert (reply.HasField("conversion"), reply.events_seen) == (True, 1)
        assert place.traces() == 0
        # Late events say nothing of consent.
        for late in await ask(served, [a_request(number, None) for number in range(8)]):
            assert late.consent.not_kept[0].reason == events_pb2.NOT_KEPT_REASON_WITHDRAWN
            assert late.consent.withdrawal == events_pb2.WITHDRAWAL_UNSPECIFIED
        assert not await is_kept(served)
        assert place.traces() == 0
    assert place.traces() == 0
    async with place.served() as served:
        assert not await is_kept(served)
        (late,) = await ask(served, [a_request(3, None)])
        assert late.consent.not_kept[0].reason == events_pb2.NOT_KEPT_REASON_WITHDRAWN
        assert place.traces() == 0
        # Granted anew it is a visit that begins.
        again = await served.client.score(
            SESSION, [an_event(30)], anonymous_id=VISITOR, consent=GRANTED
        )
        assert (again.events_seen, list(again.degraded)) == (1, [])
        more = await served.client.score(SESSION, [an_event(31)], anonymous_id=VISITOR)
        assert (more.events_seen, more.HasField("consent")) == (2, False)
        assert await is_kept(served)
        assert place.traces() > 0
    reached("F6", f"{place.name}: 0 traces after a withdrawal")


async def test_f6_rows_may_be_kept_and_never_the_session(place: Place) -> None:
    """F6: with `on_withdrawal` keep, earlier rows stay in the log and no restart rebuilds them."""
    async with place.served(on_withdrawal="keep") as served:
        await ask(served, [a_request(number, None) for number in range(4)])
        reply = await served.client.score(SESSION, [], consent=GRANTED)
        assert reply.events_seen == 4
        reply = await served.client.score(SESSION, [an_event(5)], consent=DENIED)
        assert reply.consent.withdrawal == events_pb2.WITHDRAWAL_DONE
        assert not await is_kept(served)
        assert place.traces(f"{EVENT}-0") > 0
        assert place.traces(f"{EVENT}-5") == 0
    async with place.served(on_withdrawal="keep") as served:
        assert not await is_kept(served)
        late = await served.client.score(SESSION, [an_event(6)])
        assert late.consent.not_kept[0].reason == events_pb2.NOT_KEPT_REASON_WITHDRAWN


async def test_f6_a_withdrawal_needs_no_event(place: Place) -> None:
    """F6: a request without events that denies analytics deletes its session; there is no score."""
    async with place.served() as served:
        await ask(served, [a_request(number, None) for number in range(4)])
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as raised:
                await served.client.score(SESSION, [], consent=DENIED)
            assert raised.value.code() == grpc.StatusCode.NOT_FOUND
        assert not await is_kept(served)
        assert place.traces() == 0
        mixed = await served.client.ingest(
            [an_event(7, DENIED), an_event(8, GRANTED)], session_id=SESSION, anonymous_id=VISITOR
        )
        assert (mixed.accepted, [one.events for one in mixed.consent.not_kept]) == (1, [1])
        assert place.traces(f"{EVENT}-7") == 0
        assert place.traces(f"{EVENT}-8") > 0


async def test_f6_calls_under_way_do_not_outlive_a_withdrawal(place: Place) -> None:
    """F6: of calls at once, those before a withdrawal are deleted, those after are not kept."""
    async with place.served() as served:
        calls = [
            served.client.score(
                SESSION, [an_event(number, DENIED if number == 40 else None)], anonymous_id=VISITOR
            )
            for number in range(80)
        ]
        replies = await asyncio.gather(*calls)
        assert all(reply.HasField("conversion") for reply in replies)
        await served.client.score(SESSION, [an_event(99)], consent=DENIED)
        assert not await is_kept(served)
        assert place.traces() == 0

"""A denial of analytics counts, too, where the event that says it is refused, or all are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from micromoment.client import consent, event
from micromoment.stores.withdrawals import Deletions
from micromoment.v1 import events_pb2 as pb
from tests.support.consenting import NOW, Served, a_consenting_server, files_with, redis_with
from tests.support.feature_stores import a_redis, a_workspace, published
from tests.support.restarts import scrape
from tests.support.served_log import segment_store
from training.feature_store import materialize

NO = consent(analytics="denied")
YES = consent(analytics="granted")
SILENT = consent(personalization="granted")
DENIED_NOTHING_KEPT = pb.AppliedConsent(
    analytics=pb.CONSENT_STATE_DENIED,
    personalization=pb.CONSENT_STATE_GRANTED,
    ads=pb.CONSENT_STATE_GRANTED,
)


@dataclass(frozen=True)
class Shopfront:
    """Where a server keeps things: in memory and files, or on Redis."""

    store: Path
    features: Path
    state: Path
    redis_port: int | None

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Served]:
        """Serve from here."""
        port = self.redis_port
        settings = {"session_store": f"redis://127.0.0.1:{port}"} if port else {}
        async with a_consenting_server(
            self.store, self.state, self.features, bundle="tiny:latest", **settings
        ) as served:
            yield served

    def traces(self, word: str = "secret") -> int:
        """Count a word in every file and in every key and value of Redis."""
        found = files_with(self.state, [word])[word]
        return found + (redis_with(self.redis_port, [word])[word] if self.redis_port else 0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store of bundles and a published workspace."""
    segment_store(store := tmp_path_factory.mktemp("store"))
    workspace = a_workspace(tmp_path_factory.mktemp("workspace"))
    materialize(workspace, published(3))
    return store, workspace.root


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls wait for deletions as long as a busy machine takes."""
    monkeypatch.setattr(Deletions.__init__, "__kwdefaults__", {"wait_s": 8.0})


@pytest.fixture(params=["memory", "redis"])
def front(
    request: pytest.FixtureRequest, folders: tuple[Path, Path], tmp_path: Path
) -> Iterator[Shopfront]:
    """Where a server keeps things."""
    state = tmp_path / "state"
    state.mkdir()
    if request.param == "memory":
        yield Shopfront(*folders, state, None)
        return
    with a_redis(tmp_path) as (_, port):
        yield Shopfront(*folders, state, port)


def taken(number: int, own: pb.Consent | None = None) -> pb.Event:
    """Make an event that keeps to the contract."""
    return event("page_view", event_id=f"secret-{number}", event_time=NOW, consent=own)


def bad(own: pb.Consent | None = None) -> pb.Event:
    """Make an event that is refused."""
    return pb.Event(event_id="secret-bad", consent=own)


async def ingest(served: Served, *events: pb.Event, own: pb.Consent | None) -> pb.IngestResponse:
    """Let a visit's events be taken in."""
    return await served.client.ingest(events, session_id="s1", anonymous_id="a", consent=own)


async def is_kept(served: Served) -> bool:
    """Tell whether the visit is known."""
    try:
        await served.client.get_session("s1")
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("events", "own"),
    [
        ([bad(NO)], None),
        ([bad()], NO),
        ([bad(YES), bad()], NO),
        ([bad(NO), bad(YES)], None),
        ([bad(NO)], YES),
    ],
    ids=["event", "request", "grant and request", "grant after it", "request grants"],
)
async def test_a_denial_is_carried_out_where_no_event_is_taken(
    front: Shopfront, events: list[pb.Event], own: pb.Consent | None
) -> None:
    """The session is deleted, the reply and the metrics say so, and late events stay out."""
    async with front.served() as served:
        await served.client.score("s1", [taken(0), taken(1)], anonymous_id="a")
        assert front.traces() > 0
        reply = await ingest(served, *events, own=own)
        assert [one.index for one in reply.errors] == list(range(len(events)))
        applied = pb.AppliedConsent(withdrawal=pb.WITHDRAWAL_DONE)
        applied.MergeFrom(DENIED_NOTHING_KEPT)
        assert reply.consent == applied
        assert not await is_kept(served)
        assert front.traces() == 0
        counted = 'micromoment_withdrawals_total{outcome="done"} 1.0'
        assert counted in scrape(served.metrics_port)
        late = await ingest(served, taken(2), own=None)
        assert late.consent.not_kept[0].reason == pb.NOT_KEPT_REASON_WITHDRAWN
        assert front.traces() == 0


async def test_the_last_word_decides_where_some_are_refused(front: Shopfront) -> None:
    """A refused denial counts for what came before and after it, until a taken event grants."""
    async with front.served() as served:
        await ingest(served, taken(0), own=None)
        reply = await ingest(served, taken(1), bad(NO), own=YES)
        assert (reply.accepted, reply.consent.withdrawal) == (0, pb.WITHDRAWAL_DONE)
        assert list(reply.consent.not_kept) == [
            pb.NotKept(reason=pb.NOT_KEPT_REASON_DENIED_LATER, events=1)
        ]
        assert not await is_kept(served)
        reply = await ingest(served, bad(NO), taken(2), own=None)
        assert [one.reason for one in reply.consent.not_kept] == [pb.NOT_KEPT_REASON_DENIED]
        assert front.traces() == 0
        reply = await ingest(served, bad(NO), taken(3, YES), own=None)
        assert (reply.accepted, reply.HasField("consent")) == (1, False)
        assert await is_kept(served)


async def test_a_grant_in_a_refused_event_grants_nothing(front: Shopfront) -> None:
    """Neither to silent events beside it nor to those to come; that of the request neither."""
    async with front.served() as served:
        await ingest(served, taken(0), own=NO)
        for events, own in (
            ([bad(YES), taken(1)], None),
            ([taken(1), bad(YES)], SILENT),
            ([bad()], YES),
            ([taken(1, NO), bad(YES)], None),
        ):
            await ingest(served, *events, own=own)
            assert not await is_kept(served)
        reply = await ingest(served, taken(1), own=None)
        assert reply.consent.not_kept[0].reason == pb.NOT_KEPT_REASON_WITHDRAWN
        assert front.traces() == 0


async def test_outside_a_visit_a_denial_is_told(front: Shopfront) -> None:
    """Each event is judged by itself there; where all are refused, the reply still says no."""

    async def tell(*events: pb.Event, own: pb.Consent | None = None) -> pb.IngestResponse:
        return await served.client.ingest(events, anonymous_id="a", consent=own)

    order = event("purchase", event_id="order", event_time=NOW, order_id="o1")
    async with front.served() as served:
        for reply in (await tell(bad(), own=NO), await tell(bad(NO))):
            assert reply.consent == DENIED_NOTHING_KEPT
        reply = await tell(bad(), own=YES)
        assert not reply.HasField("consent")
        reply = await tell(order, bad(NO))
        assert (reply.accepted, len(reply.errors), reply.HasField("consent")) == (1, 1, False)

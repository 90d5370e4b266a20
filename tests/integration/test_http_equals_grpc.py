"""HTTP and gRPC give the same answers, over a whole visit, on two servers of one bundle."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from micromoment.bootstrap import make_service
from micromoment.client import event, item, score_request
from micromoment.settings import Settings
from micromoment.v1 import events_pb2, scoring_pb2
from micromoment.v1.events_pb2_grpc import EventServiceStub
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.support.feature_stores import a_redis
from tests.support.front_door import HttpClient, a_front_door
from tests.support.tiny_bundle import make_tiny_store

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
KINDS = ("page_view", "item_view", "cart_add", "cart_view", "checkout_start", "purchase")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


def settings_of(store: Path, folder: Path, session_store: str = "") -> Settings:
    """Give settings of a server with files of its own."""
    folder.mkdir()
    return Settings(
        port=0,
        metrics_port=None,
        admin_port=None,
        bundle_store=store,
        state_dir=folder,
        session_store=session_store,
        abstain_below_evidence=3,
        drain_lag=0.0,
    )


class GrpcClient:
    """Calls a gRPC server as the other client calls the front door."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stubs = (ScoringServiceStub(channel), EventServiceStub(channel))

    async def call(self, name: str, request: Message) -> Message:
        """Send a request; gives the reply, or the status where there is none."""
        (call,) = (getattr(stub, name) for stub in self._stubs if hasattr(stub, name))
        try:
            return cast(Message, await call(request))
        except grpc.aio.AioRpcError as error:
            metadata: Any = error.trailing_metadata()
            details = dict(metadata)["grpc-status-details-bin"]
            return cast(Message, Status.FromString(details))


@asynccontextmanager
async def a_grpc_server(settings: Settings) -> AsyncIterator[GrpcClient]:
    """Serve over gRPC until the block ends."""
    service = make_service(settings)
    await service.listen()
    try:
        await service.load()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
            yield GrpcClient(channel)
    finally:
        await service.drain()


def one(place: int, **fields: object) -> events_pb2.Event:
    """Make the visit's event of a place; every third price is in the shop's currency."""
    return event(
        KINDS[min(place, len(KINDS) - 1)],
        event_id=f"e{place}",
        event_time=START + timedelta(seconds=20 * place, microseconds=place),
        items=[item(f"sku-{place % 3}", price="19.99", quantity=2, category=["a", "b"])],
        currency=("EUR", "", "USD")[place % 3],
        page=f"/p/{place % 4}",
        referrer="paid",
        campaign="frühling",
        attributes={"colour": "grün"},
        **fields,  # type: ignore[arg-type] # of the message
    )


def calls() -> list[tuple[str, Message]]:
    """Give a visit in calls: of each kind, with each option, with mistakes in between."""
    visit: list[tuple[str, Message]] = [
        ("GetSession", scoring_pb2.GetSessionRequest(session_id="s")),
        ("Score", score_request("s")),
        ("Score", score_request("", [one(0)])),
        ("Score", score_request("s", [one(0, utc_offset_minutes=9_999), one(1, dwell_ms=-1)])),
    ]
    for place in range(8):
        options = score_request(
            "s",
            [one(place)],
            anonymous_id="browser",
            explain=place % 2 == 0,
            include_features=place % 3 != 1,
        )
        dry = scoring_pb2.ScoreRequest()
        dry.CopyFrom(options)
        dry.dry_run = True
        visit += [("Score", dry), ("Score", options), ("Score", options)]
    later = score_request("s", as_of=START + timedelta(hours=1), include_features=True)
    many = [score_request(f"b{n % 3}", [one(n)], include_features=True) for n in range(5)]
    mixed = [*many, score_request(""), score_request("unknown"), score_request("b0")]
    return [
        *visit,
        ("Score", later),
        ("BatchScore", scoring_pb2.BatchScoreRequest(requests=mixed)),
        ("BatchScore", scoring_pb2.BatchScoreRequest()),
        ("GetSession", scoring_pb2.GetSessionRequest(session_id="s", explain=True)),
        ("GetSession", scoring_pb2.GetSessionRequest()),
        (
            "Ingest",
            events_pb2.IngestRequest(
                session_id="i", anonymous_id="a", events=[one(0), one(0), one(1, dwell_ms=-1)]
            ),
        ),
        ("Ingest", events_pb2.IngestRequest(user_id="u", events=[event("refund", event_id="r")])),
        ("Score", score_request("i", [one(2)], include_features=True)),
    ]


def without_ids(reply: Message) -> bytes:
    """Give a reply's bytes without the ids of its answers, which are never twice the same."""
    if isinstance(reply, scoring_pb2.ScoreResponse):
        reply.score_id = ""
    elif isinstance(reply, scoring_pb2.GetSessionResponse):
        reply.scores.score_id = ""
    elif isinstance(reply, scoring_pb2.BatchScoreResponse):
        for result in reply.results:
            if result.HasField("response"):
                result.response.score_id = ""
    return reply.SerializeToString(deterministic=True)


async def test_a_whole_visit_is_answered_alike(store: Path, tmp_path: Path) -> None:
    """Every field but the id is equal to the last bit: replies, errors, reasons, features, NaN."""
    seen = []
    async with (
        a_front_door(settings_of(store, tmp_path / "http")) as http,
        a_grpc_server(settings_of(store, tmp_path / "grpc")) as over_grpc,
    ):
        for name, request in calls():
            mine, theirs = await http.call(name, request), await over_grpc.call(name, request)
            assert type(mine) is type(theirs), (name, request, mine, theirs)
            assert without_ids(mine) == without_ids(theirs), (name, request, mine, theirs)
            seen.append(mine)
    # It was worth comparing.
    statuses = [reply for reply in seen if isinstance(reply, Status)]
    scores = [reply for reply in seen if isinstance(reply, scoring_pb2.ScoreResponse)]
    assert {status.code for status in statuses} == {3, 5}
    assert any(score.reasons for score in scores)
    assert any(score.converted for score in scores)
    assert any(score.evidence.abstain for score in scores)
    assert any(score.degraded for score in scores)
    values = [value for score in scores for value in score.feature_vector.values]
    assert any(math.isnan(value) for value in values)
    assert any(value % 1 for value in values if not math.isnan(value))


async def test_both_share_sessions_on_redis(store: Path, tmp_path: Path) -> None:
    """A visit goes on over HTTP where it was over gRPC, and back, as on one server."""
    with a_redis(tmp_path) as (_, port):
        shared = f"redis://127.0.0.1:{port}"
        async with (
            a_front_door(settings_of(store, tmp_path / "http", shared)) as http,
            a_grpc_server(settings_of(store, tmp_path / "grpc", shared)) as over_grpc,
            a_grpc_server(settings_of(store, tmp_path / "alone")) as alone,
        ):
            turns: tuple[HttpClient | GrpcClient, ...] = (http, over_grpc)
            for place in range(6):
                request = score_request("s", [one(place)], include_features=True)
                mine = await turns[place % 2].call("Score", request)
                assert without_ids(mine) == without_ids(await alone.call("Score", request))

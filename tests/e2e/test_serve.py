"""The trained bundle behind a running server, called by clients of two kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from micromoment.client import Client, event
from tests.e2e.conftest import TRAINED_UNTIL, TrainedShop
from tests.support.commands import BIN, Home
from training.server_process import ServerProcess

NOON = datetime(2024, 3, 9, 12, tzinfo=UTC)
SERVICE = "micromoment.v1.ScoringService"


@pytest.fixture(scope="module")
def server(shop: TrainedShop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with the latest bundle and the users' features that training published."""
    folder = tmp_path_factory.mktemp("server")
    settings: dict[str, str | Path | float] = {
        "bundle": "shop:latest",
        "bundle_store": shop.home.store,
        "feature_store": shop.features,
        "state_dir": folder,
        "user_feature_timeout": 20.0,  # a busy machine must not make a user unknown
        "drain_lag": 0.0,
    }
    with ServerProcess(settings, folder / "server.log") as process:
        yield process


def grpcurl(server: ServerProcess, *arguments: str, body: object = None) -> str:
    """Call the server as somebody does who has neither our code nor our protos."""
    data = () if body is None else ("-d", json.dumps(body))
    where = (server.address, *arguments)
    done = Home(BIN).run(BIN / "grpcurl", "-plaintext", *data, *where)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_reply_names_the_trained_bundle(shop: TrainedShop, server: ServerProcess) -> None:
    """`latest` is what was trained last, and the reply says so."""
    with Client(server.address) as client:
        reply = client.score("s1", [event("page_view", event_time=NOON)], anonymous_id="stranger")
    assert reply.bundle == shop.tag
    assert 0 < reply.conversion < 1
    assert list(reply.degraded) == []
    assert not reply.user_features.found


def test_a_returning_visitor_is_known(shop: TrainedShop, server: ServerProcess) -> None:
    """Training published the users' features: who came on its last day is found, and scored so."""
    table = pq.read_table(shop.events / f"{TRAINED_UNTIL}.parquet", columns=["anonymous_id"])
    visitor = table["anonymous_id"][0].as_py()
    landing = [event("page_view", event_id="e1", event_time=NOON, page="/", page_type="home")]
    with Client(server.address) as client:
        known = client.score("s2", landing, anonymous_id=visitor, include_features=True)
        stranger = client.score("s3", landing, anonymous_id="stranger", include_features=True)
    assert known.user_features.found
    assert not known.user_features.stale
    assert known.user_features.snapshot_time.ToDatetime(UTC).date() == NOON.date()
    assert known.feature_vector != stranger.feature_vector
    assert known.conversion != stranger.conversion


def test_grpcurl_scores(shop: TrainedShop, server: ServerProcess) -> None:
    """A foreign client needs nothing but reflection and JSON to get the same answer as ours."""
    page: dict[str, Any] = {"page_id": "/", "type": "PAGE_TYPE_HOME"}
    view = {"event_id": "e1", "type": "EVENT_TYPE_PAGE_VIEW", "page": page}
    body = {
        "session_id": "s4",
        "anonymous_id": "stranger",
        "events": [{**view, "event_time": "2024-03-09T12:00:00Z"}],
    }
    reply = json.loads(grpcurl(server, f"{SERVICE}/Score", body=body))
    landing = event("page_view", event_id="e1", event_time=NOON, page="/", page_type="home")
    with Client(server.address) as client:
        ours = client.score("s5", [landing], anonymous_id="stranger")
    assert reply["conversion"] == ours.conversion
    assert reply["bundle"] == shop.tag
    assert int(reply["events_seen"]) == ours.events_seen == 1
    assert reply["last_event_id"] == "e1"
    assert reply["journey_stage"] == "JOURNEY_STAGE_LEARN"


def test_grpcurl_finds_services_and_health(server: ServerProcess) -> None:
    """Reflection lists the services; health answers in the standard way."""
    services = set(grpcurl(server, "list").split())
    assert services >= {SERVICE, "micromoment.v1.EventService", "grpc.health.v1.Health"}
    assert f"{SERVICE}.Score" in grpcurl(server, "list", SERVICE).split()
    assert "rpc Score (" in grpcurl(server, "describe", SERVICE)
    health = json.loads(grpcurl(server, "grpc.health.v1.Health/Check"))
    assert health == {"status": "SERVING"}

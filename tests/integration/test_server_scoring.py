"""The whole server in this process: real bundle, real scorer, real stores, the real client."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from math import exp
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.bootstrap import make_service
from micromoment.client import AsyncClient, Client, event, item, score_request
from micromoment.client.requests import ScoreOptions
from micromoment.errors import BundleError
from micromoment.features.user_snapshot import UserStatus
from micromoment.lifecycle import Service
from micromoment.scoring.manifest import Manifest
from micromoment.settings import Settings
from micromoment.stores.sessions import SESSION_BYTES
from micromoment.telemetry.metrics import Metrics
from micromoment.v1 import events_pb2, scoring_pb2
from tests.support.serving import SlowUsers
from tests.support.tiny_bundle import make_tiny_store

ROOT = Path(__file__).parents[2]
START = datetime(2024, 5, 1, 12, tzinfo=UTC)
KINDS = ("page_view", "item_view", "cart_add", "cart_view", "checkout_start")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


@pytest.fixture
def settings(store: Path, tmp_path: Path) -> Settings:
    """Settings of a server with files of its own."""
    return Settings(
        port=0,
        metrics_port=None,
        admin_port=None,
        bundle_store=store,
        state_dir=tmp_path,
        state_file=tmp_path / "sessions.bin",
        drain_lag=0.0,
        drain_grace=1.0,
    )


@asynccontextmanager
async def serving(settings: Settings, users: SlowUsers | None = None) -> AsyncIterator[Service]:
    """Serve until the block ends, then drain."""
    service = make_service(settings, users=users or SlowUsers())
    await service.listen()
    try:
        await service.load()
        yield service
    finally:
        await service.drain()


def visit(events: int = 5, first: int = 0) -> list[events_pb2.Event]:
    """Make a visit's events, 20 seconds apart."""
    return [
        event(
            KINDS[place % len(KINDS)],
            event_id=f"e{place}",
            event_time=START + timedelta(seconds=20 * place),
            items=[item(f"sku-{place % 3}", price="19.99", quantity=1)],
            page=f"/p/{place % 4}",
        )
        for place in range(first, first + events)
    ]


def answer(reply: scoring_pb2.ScoreResponse) -> tuple[float, bytes, int, str]:
    """Give what must be equal to the last bit."""
    features = np.array(reply.feature_vector.values, np.float32).tobytes()
    return reply.conversion, features, reply.events_seen, reply.last_event_id


async def test_events_sent_together_or_one_by_one_end_alike(settings: Settings) -> None:
    """The last answer has the same bits, whichever way the events came in."""
    async with serving(settings) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        options: ScoreOptions = {"anonymous_id": "a", "include_features": True}
        together = await client.score("s1", visit(40), **options)
        for one in visit(39):
            await client.score("s2", [one], **options)
        apart = await client.score("s2", visit(1, first=39), **options)
    assert answer(together) == answer(apart)
    assert 0 < together.conversion < 1
    assert together.abandonment == 1 - together.conversion
    assert not np.isinf(together.feature_vector.values).any()


async def test_repeated_events_change_nothing(settings: Settings) -> None:
    """A request sent again is answered alike and counts its events as duplicates."""
    async with serving(settings) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        first = await client.score("s1", visit(), include_features=True)
        again = await client.score("s1", visit(), include_features=True)
        silent = await client.score("s1", include_features=True)
    assert answer(first) == answer(again) == answer(silent)
    assert (first.duplicates, again.duplicates, silent.duplicates) == (0, 5, 0)


async def test_a_dry_run_leaves_no_trace(settings: Settings) -> None:
    """Its answer is that of the real call; afterwards the session is as before."""
    async with serving(settings) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        await client.score("s1", visit(3))
        dry = await client.score("s1", visit(2, first=3), dry_run=True, include_features=True)
        before = await client.get_session("s1")
        wet = await client.score("s1", visit(2, first=3), include_features=True)
        assert await client.try_score("never", visit(1), dry_run=True)
        assert await client.try_score("never") is None
    assert answer(dry) == answer(wet)
    assert before.state.events_seen == 3


async def test_sessions_outlive_a_restart(settings: Settings) -> None:
    """A new process goes on where the last one stopped, to the last bit."""
    async with serving(settings) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        await client.score("s1", visit(20))
        through = await client.score("s2", visit(25), include_features=True)
    assert settings.state_file is not None
    assert settings.state_file.exists()
    async with serving(settings) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        assert not settings.state_file.exists()
        after = await client.score("s1", visit(5, first=20), include_features=True)
        known = await client.score("s2", include_features=True)
    assert answer(after) == answer(through) == answer(known)
    assert scoring_pb2.DEGRADED_REASON_STATE_LOST not in after.degraded


async def test_a_session_that_made_room_is_called_lost(settings: Settings) -> None:
    """With room for one session the other comes back as STATE_LOST, and is counted afresh."""
    small = settings.model_copy(update={"max_sessions": 1})
    async with serving(small) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        await client.score("s1", visit(3))
        await client.score("s2", visit(3))
        back = await client.score("s1", visit(1, first=3))
    assert scoring_pb2.DEGRADED_REASON_STATE_LOST in back.degraded
    assert back.events_seen == 1


async def test_evictions_and_memory_are_among_the_metrics(settings: Settings) -> None:
    """With room for two sessions the third one pushes one out, and the bytes are those of two."""
    metrics = Metrics()
    small = settings.model_copy(update={"max_sessions": 2})
    service = make_service(small, metrics=metrics, users=SlowUsers())
    await service.listen()
    await service.load()
    async with AsyncClient(f"127.0.0.1:{service.port}") as client:
        for session_id in ("s1", "s2", "s3"):
            await client.score(session_id, visit(1))
    await service.close()
    read = metrics.registry.get_sample_value
    assert read("micromoment_session_bytes") == 2 * SESSION_BYTES
    assert read("micromoment_session_evictions_total", {"reason": "capacity"}) == 1


async def test_ingested_events_are_seen_by_the_next_score(settings: Settings) -> None:
    """Folding without scoring and then scoring is the same as scoring all."""
    async with serving(settings) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        folded = await client.ingest(visit(4), session_id="s1", anonymous_id="a")
        options: ScoreOptions = {"anonymous_id": "a", "include_features": True}
        mixed = await client.score("s1", visit(1, first=4), **options)
        whole = await client.score("s2", visit(5), **options)
    assert folded.accepted == 4
    assert answer(mixed) == answer(whole)


async def test_events_outside_a_visit_are_logged_once(settings: Settings) -> None:
    """A refund is stored whole under its visitor; sent again it is a duplicate."""
    refund = event("refund", event_id="r1", order_id="o1", value="19.99", event_time=START)
    async with serving(settings) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        first = await client.ingest([refund], user_id="u1")
        again = await client.ingest([refund, event("page_view")], user_id="u1")
    assert settings.event_log is not None
    connection = sqlite3.connect(settings.event_log / "outside_visits.sqlite")
    rows = connection.execute("SELECT visitor_id, event FROM outside_visit_events").fetchall()
    connection.close()
    assert (first.accepted, again.accepted, again.duplicates) == (1, 0, 1)
    assert again.errors[0].index == 1
    assert [(user, events_pb2.Event.FromString(data)) for user, data in rows] == [("u1", refund)]


async def test_as_of_moves_time_on_but_never_back(settings: Settings) -> None:
    """Later gives an answer for then; before the last event is refused by name."""
    request = score_request("s1", visit(3), as_of=START + timedelta(minutes=5))
    earlier = score_request("s1", as_of=START)
    async with serving(settings) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        results = await client.batch_score([request, earlier])
    assert results[0].response.as_of == Timestamp(seconds=int(START.timestamp()) + 300)
    assert results[1].status.message.startswith("as_of")


async def test_explained_scores_name_their_reasons(settings: Settings) -> None:
    """Reasons name features of the vector, largest contribution first."""
    async with serving(settings) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        reply = await client.score("s1", visit(), explain=True, include_features=True)
    sizes = [abs(reason.contribution) for reason in reply.reasons]
    assert sizes
    assert sizes == sorted(sizes, reverse=True)
    assert {reason.feature for reason in reply.reasons} <= set(reply.feature_vector.names)
    for reason in reply.reasons:
        is_for = reason.direction == scoring_pb2.DIRECTION_FOR
        assert is_for == (reason.contribution > 0)
        assert reason.group
        assert reason.sentence
    told = sum(reason.contribution for reason in reply.reasons)
    log_odds = reply.reason_totals.base + told + reply.reason_totals.other
    assert 1 / (1 + exp(-log_odds)) == pytest.approx(reply.conversion, abs=1e-12)
    assert not reply.HasField("churn_reason_totals")


async def test_a_server_advises_not_to_act_by_its_settings(settings: Settings) -> None:
    """With two of three events it abstains and says why; with the third it doesn't."""
    strict = settings.model_copy(update={"abstain_below_evidence": 3})
    async with serving(strict) as service, AsyncClient(f"127.0.0.1:{service.port}") as client:
        replies = [await client.score("s1", [event]) for event in visit()[:3]]
    assert [reply.evidence.abstain for reply in replies] == [True, True, False]
    few = scoring_pb2.ABSTAIN_REASON_TOO_FEW_EVENTS
    assert [list(reply.evidence.abstain_reasons) for reply in replies] == [[few], [few], []]


async def test_missing_user_features_are_said(settings: Settings) -> None:
    """When the store does not answer the reply is there and degraded."""
    users = SlowUsers(status=UserStatus.UNAVAILABLE)
    async with (
        serving(settings, users) as service,
        AsyncClient(f"127.0.0.1:{service.port}") as client,
    ):
        reply = await client.score("s1", visit(1), anonymous_id="a")
    assert list(reply.degraded) == [scoring_pb2.DEGRADED_REASON_USER_FEATURES_UNAVAILABLE]
    assert users.warm
    assert users.closed


async def test_many_sessions_at_once_never_mix(settings: Settings) -> None:
    """Calls of 20 sessions, interleaved, give each what it gets alone."""
    users = SlowUsers(delay_s=0.005)
    async with (
        serving(settings, users) as service,
        AsyncClient(f"127.0.0.1:{service.port}", deadline_s=10) as client,
    ):

        async def play(session_id: str, events: int) -> tuple[float, bytes, int, str]:
            for one in visit(events):
                await client.score(session_id, [one], anonymous_id=session_id)
            return answer(await client.score(session_id, include_features=True))

        lengths = range(1, 21)
        together = await asyncio.gather(*(play(f"s{n}", n) for n in lengths))
        alone = [await play(f"alone-{n}", n) for n in lengths]
    assert together == alone


async def test_a_bundle_with_wrong_golden_answers_is_not_served(
    settings: Settings, tmp_path: Path
) -> None:
    """A damaged bundle ends the start with its name; health never says SERVING."""
    manifest = make_tiny_store(tmp_path / "other")
    model = tmp_path / "other" / "shop" / manifest.version / "conversion.txt"
    model.write_bytes(model.read_bytes().replace(b"leaf_value=", b"leaf_value=-", 1))
    service = make_service(settings.model_copy(update={"bundle_store": tmp_path / "other"}))
    await service.listen()
    with pytest.raises(BundleError, match=manifest.version):
        await service.load()
    async with AsyncClient(f"127.0.0.1:{service.port}") as client:
        assert await client.try_score("s1", visit(1)) is None
    await service.close()


async def test_the_synchronous_client_gives_the_same(settings: Settings) -> None:
    """Both clients have the same calls and get the same answers."""
    async with serving(settings) as service:
        address = f"127.0.0.1:{service.port}"

        def use() -> list[tuple[float, bytes, int, str]]:
            with Client(address) as client:
                scored = client.score("s1", visit(), include_features=True)
                kept = client.get_session("s1").scores
                batch = client.batch_score([score_request("s2", visit(), include_features=True)])
                folded = client.ingest(visit(), session_id="s3", anonymous_id="a")
                assert folded.accepted == 5
                assert client.try_score("nobody") is None
                with pytest.raises(grpc.RpcError):
                    client.score("nobody")
            return [answer(reply) for reply in (scored, kept, batch[0].response)]

        answers = await asyncio.to_thread(use)
    assert answers[0] == answers[1] == answers[2]


async def test_the_documented_python_calls_work(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The blocks of Python in docs/api.md run as they stand, on another port."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    codes = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    printed = []
    async with serving(settings) as service:
        for code in codes:
            here = code.replace("localhost:50051", f"127.0.0.1:{service.port}")
            assert here != code
            await asyncio.to_thread(exec, here, {})  # our own documentation
            printed.append(capsys.readouterr().out)
    assert "shop:" in printed[0]
    assert "FallbackReason.DEADLINE" in printed[1]


async def test_metrics_tell_calls_sessions_and_bundle(settings: Settings, store: Path) -> None:
    """After two calls the numbers say so."""
    metrics = Metrics()
    service = make_service(settings, metrics=metrics, users=SlowUsers())
    await service.listen()
    await service.load()
    async with AsyncClient(f"127.0.0.1:{service.port}") as client:
        await client.score("s1", visit(2))
        await client.try_score("")
    read = metrics.registry.get_sample_value
    version = (store / "shop" / "latest").read_text(encoding="utf-8")
    calls = "micromoment_call_seconds_count"
    assert read(calls, {"method": "Score", "code": "OK"}) == 1
    assert read(calls, {"method": "Score", "code": "INVALID_ARGUMENT"}) == 1
    assert read("micromoment_sessions") == 1
    assert read("micromoment_serving") == 1
    assert read("micromoment_bundle_info", {"bundle": f"shop:{version}"}) == 1
    assert read("micromoment_events_total", {"outcome": "accepted"}) == 2
    await service.drain()
    assert read("micromoment_serving") == 0


def test_the_tiny_bundle_is_the_same_every_time(tmp_path: Path) -> None:
    """Two makings give one version, as two trainings do."""
    manifests: list[Manifest] = [make_tiny_store(tmp_path / name) for name in "ab"]
    assert manifests[0].version == manifests[1].version

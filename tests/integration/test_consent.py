"""Consent through a whole server: what lasts in a session, and stores that fail at a withdrawal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pyarrow.parquet as pq
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from micromoment.client import consent, event, item, may_personalize
from micromoment.client.requests import ScoreOptions
from micromoment.stores import log_erasing, visit_log
from micromoment.v1 import events_pb2 as pb
from micromoment.v1 import scoring_pb2
from tests.support.consenting import NOW, Served, a_consenting_server, files_with, redis_with
from tests.support.feature_stores import a_redis, a_workspace, published
from tests.support.restarts import scrape
from tests.support.served_log import logged, segment_store
from training.feature_store import materialize
from training.importers.log import import_log, log_source
from training.parity import check_log

NO = consent(analytics="denied")
YES = consent(analytics="granted")
UNACTED = consent(personalization="denied", ads="denied")
TRIES = 200

Serve = Callable[..., Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with bundles that have clusters and audiences."""
    folder = tmp_path_factory.mktemp("store")
    segment_store(folder)
    return folder


@pytest.fixture(scope="module")
def serve(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Give what starts servers of a bundle with clusters and audiences."""
    workspace = a_workspace(tmp_path_factory.mktemp("workspace"))
    materialize(workspace, published(3))

    @asynccontextmanager
    async def served(state: Path, **settings: Any) -> AsyncIterator[Served]:  # noqa: ANN401 - several
        async with a_consenting_server(
            store, state, workspace.root, bundle="tiny:latest", **settings
        ) as one:
            yield one

    return served


def some_events(first: int, number: int, own: pb.Consent | None = None) -> list[pb.Event]:
    """Make events of a visit that fills its cart."""
    return [
        event(
            ("item_view", "cart_add")[place % 2],
            event_id=f"secret-{place}",
            event_time=NOW,
            items=[item(f"sku-{place}", price="19.99", quantity=1)],
            consent=own,
        )
        for place in range(first, first + number)
    ]


def acts(reply: scoring_pb2.ScoreResponse) -> bool:
    """Tell whether a reply has anything to act on."""
    return bool(reply.audiences) or reply.HasField("segment")


async def until_gone(count: Callable[[], int]) -> None:
    """Wait until nothing is found any more."""
    for _ in range(TRIES):
        if not await asyncio.to_thread(count):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it is still there")


async def when_done(
    served: Served, session: str, events: Sequence[pb.Event]
) -> scoring_pb2.ScoreResponse:
    """Give the answer once the session may be kept again: its rows go before that is known."""
    for _ in range(TRIES):
        reply = await served.client.score(session, events, consent=YES, anonymous_id="a")
        if reply.consent.withdrawal != pb.WITHDRAWAL_PENDING:
            return reply
    raise AssertionError("it is still pending")


async def test_personalization_stays_denied_in_its_session(serve: Serve, tmp_path: Path) -> None:
    """Scores and cluster stay, what a shop would act on is left out, also after a restart."""
    said: ScoreOptions = {"anonymous_id": "a"}
    async with serve(tmp_path, state_file=tmp_path / "sessions") as served:
        client = served.client
        for number in range(5):
            await client.score("usual", some_events(number, 1), **said)
        usual = await client.score("usual", some_events(5, 1), **said)
        assert acts(usual)
        assert may_personalize(usual)
        assert not usual.HasField("consent")
        for number in range(5):
            own = UNACTED if number == 2 else None
            await client.score("quiet", some_events(number, 1, own), **said)
        reply = await client.score("quiet", some_events(5, 1), **said)
        assert (reply.conversion, reply.cluster) == (usual.conversion, usual.cluster)
        assert reply.journey_stage == usual.journey_stage
        told = await client.get_session("quiet")
        for one in (reply, told.scores):
            assert not acts(one)
            assert not may_personalize(one)
            assert one.score_id
            assert one.consent == pb.AppliedConsent(
                analytics=pb.CONSENT_STATE_GRANTED,
                personalization=pb.CONSENT_STATE_DENIED,
                ads=pb.CONSENT_STATE_DENIED,
                withheld=[
                    pb.WITHHELD_ACTIONS,
                    pb.WITHHELD_AUDIENCES,
                    pb.WITHHELD_EXPERIMENTS,
                ],
            )
            assert list(one.evidence.abstain_reasons) == [scoring_pb2.ABSTAIN_REASON_CONSENT]
    async with serve(tmp_path, state_file=tmp_path / "sessions") as served:
        assert not acts((await served.client.get_session("quiet")).scores)
        again = consent(personalization="granted")
        reply = await served.client.score("quiet", [], consent=again)
        assert acts(reply)
        reply = await served.client.score("quiet", some_events(7, 1), consent=again, **said)
        assert acts(reply)
        assert reply.consent.personalization == pb.CONSENT_STATE_GRANTED
        assert reply.consent.ads == pb.CONSENT_STATE_DENIED


async def test_nothing_is_kept_before_consent_where_settings_deny(
    serve: Serve, tmp_path: Path
) -> None:
    """With analytics denied by default a session begins with the event that grants it."""
    async with serve(tmp_path, consent_default_analytics="denied") as served:
        client = served.client
        reply = await client.score("s1", some_events(0, 2))
        assert [one.reason for one in reply.consent.not_kept] == [pb.NOT_KEPT_REASON_DEFAULT]
        reply = await client.score("s1", [*some_events(2, 1), *some_events(3, 1, YES)])
        assert (reply.events_seen, reply.last_event_id) == (1, "secret-3")
        assert [one.events for one in reply.consent.not_kept] == [1]
        reply = await client.score("s1", some_events(4, 1))
        assert (reply.events_seen, reply.HasField("consent")) == (2, False)
        taken = await client.ingest(some_events(5, 2), session_id="s2", anonymous_id="a")
        assert (taken.accepted, taken.consent.not_kept[0].events) == (0, 2)


async def test_what_is_left_out_leaves_no_trace_in_a_score(serve: Serve, tmp_path: Path) -> None:
    """A visit that had denied events is scored as one that never had them, to the bit."""
    async with serve(tmp_path) as served:
        client = served.client
        mixed = [*some_events(0, 2, NO), *some_events(2, 2, YES)]
        left = await client.score("mixed", mixed, include_features=True, anonymous_id="a")
        plain = await client.score(
            "plain", some_events(2, 2), include_features=True, anonymous_id="a"
        )
        assert left.feature_vector == plain.feature_vector
        assert (left.conversion, left.events_seen) == (plain.conversion, 2)
        dry = await client.score("mixed", some_events(9, 1, NO), dry_run=True)
        assert dry.consent.withdrawal == pb.WITHDRAWAL_UNSPECIFIED
        assert (await client.get_session("mixed")).state.events_seen == 2


@pytest.mark.parametrize("shared", [False, True], ids=["memory", "redis"])
async def test_a_withdrawal_without_events_is_confirmed_and_counted(
    serve: Serve, tmp_path: Path, shared: bool
) -> None:
    """The error says that it is done, once; a request that withdrew nothing says nothing of it."""

    async def told(served: Served) -> dict[str, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.client.score("s1", [], consent=NO)
        status = rpc_status.from_call(cast(grpc.Call, caught.value))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        info = ErrorInfo()
        assert status is not None
        assert status.details[0].Unpack(info)
        assert info.reason == "SESSION_NOT_FOUND"
        return dict(info.metadata)

    with a_redis(tmp_path) if shared else contextlib.nullcontext((None, 0)) as (_, port):
        given = {"session_store": f"redis://127.0.0.1:{port}"} if shared else {}
        async with serve(tmp_path, **given) as served:
            assert await told(served) == {}
            await served.client.score("s1", some_events(0, 3, YES), anonymous_id="a")
            assert await told(served) == {"withdrawal": "done"}
            assert await told(served) == {}
            page = await asyncio.to_thread(scrape, served.metrics_port)
    assert 'micromoment_withdrawals_total{outcome="done"} 1.0' in page.splitlines()


@pytest.mark.parametrize("on_withdrawal", ["erase", "keep"])
async def test_parity_holds_and_imports_lack_what_was_denied(
    serve: Serve, store: Path, tmp_path: Path, on_withdrawal: str
) -> None:
    """What was kept folds again to the bit; no denied event is there, nor what was withdrawn."""
    async with serve(tmp_path, on_withdrawal=on_withdrawal, log_features=1.0) as served:
        client = served.client
        for number in range(6):
            said = (None, UNACTED, NO, YES, consent(global_privacy_control=True), None)[number]
            mixed = [*some_events(2 * number, 1, said), *some_events(2 * number + 1, 1, YES)]
            await client.score("mixed", mixed, anonymous_id="a")
            await client.score("gone", some_events(100 + number, 1), anonymous_id="b")
        await client.score("gone", some_events(200, 1), consent=NO)
        await client.score("gone", some_events(201, 1), consent=YES, anonymous_id="b")
        await client.score("gone", some_events(202, 1), anonymous_id="b")
    log = tmp_path / "event_log"
    report = check_log(logged(log), store)
    assert report.equal
    assert report.compared == (8 if on_withdrawal == "erase" else 14)
    found = import_log(log_source(str(log)), tmp_path / "events", time_zone="UTC")
    assert found.dropped == ({} if on_withdrawal == "erase" else {"erased": 6})
    (path,) = (tmp_path / "events").glob("*.parquet")
    ids = {int(one.partition("-")[2]) for one in pq.read_table(path)["event_id"].to_pylist()}
    assert ids == {*range(12), 201, 202} - {4}


async def test_a_withdrawal_that_the_log_does_not_take_is_finished_later(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is pending, the session is not kept meanwhile, and the next start finishes it."""
    erase = log_erasing.erase_calls
    is_failing = True

    def failing(*args: Any, **named: Any) -> log_erasing.ErasedFromLog:  # noqa: ANN401 - of the real one
        if is_failing:
            raise OSError("disk")
        return erase(*args, **named)

    monkeypatch.setattr(visit_log, "erase_calls", failing)

    def traces() -> int:
        return sum(files_with(tmp_path, ["secret"]).values())

    async with serve(tmp_path) as served:
        for session in ("s1", "s2"):
            await served.client.score(session, some_events(0, 3), anonymous_id="a")
            reply = await served.client.score(session, some_events(3, 1), consent=NO)
            assert reply.consent.withdrawal == pb.WITHDRAWAL_PENDING
        reply = await served.client.score("s1", some_events(4, 1), consent=YES)
        assert reply.consent.analytics == pb.CONSENT_STATE_DENIED
        assert reply.consent.withdrawal == pb.WITHDRAWAL_PENDING
    assert traces() > 0
    is_failing = False
    async with serve(tmp_path) as served:
        await until_gone(traces)
        assert (await when_done(served, "s1", some_events(5, 1))).events_seen == 1


async def test_a_withdrawal_is_told_to_a_redis_that_comes_back(
    serve: Serve, tmp_path: Path
) -> None:
    """While Redis hangs it is pending and an answer is given; then nothing is left there."""
    with a_redis(tmp_path) as (process, port):
        url = f"redis://127.0.0.1:{port}"
        async with (
            serve(tmp_path, session_store=url) as one,
            serve(tmp_path / "two", session_store=url) as two,
        ):
            for served in (one, two):
                await served.client.score("s1", some_events(0, 3), anonymous_id="a")
            process.send_signal(signal.SIGSTOP)
            try:
                reply = await one.client.score("s1", some_events(3, 1), consent=NO)
            finally:
                process.send_signal(signal.SIGCONT)
            assert reply.consent.withdrawal == pb.WITHDRAWAL_PENDING
            assert reply.HasField("conversion")
            await until_gone(lambda: sum(redis_with(port, ["secret"]).values()))
            # Another server that remembers the session keeps a late event no more than this one.
            late = await two.client.score("s1", some_events(5, 1), anonymous_id="a")
            assert late.consent.not_kept[0].reason == pb.NOT_KEPT_REASON_WITHDRAWN
            assert sum(redis_with(port, ["secret"]).values()) == 0

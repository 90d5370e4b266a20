"""The serving benchmark's clients and checks against real servers, a few hundred calls."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.serving import h2load, score_calls
from benchmarks.serving.answers import OfflineShop, WrongAnswerError, check_scores, check_taken
from benchmarks.serving.cases import measure, repeated
from benchmarks.serving.distinct import CallFailedError, call_at_rate, call_each
from benchmarks.serving.grpc_frames import prefixed
from benchmarks.serving.processes import Running, ServerDidNotStartError, started
from benchmarks.serving.score_cases import SCORE, NewEvents, begin, checked
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.stores.bundles import find_bundle
from tests.support.tiny_bundle import make_tiny_store
from training.server_process import ServerProcess, free_port

SHOPPERS = score_calls.shoppers_of(None)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(store: Path) -> LoadedBundle:
    """The store's bundle."""
    return load_bundle(find_bundle(store, "shop:latest"))


@pytest.fixture(scope="module")
def ours(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Our server with the small bundle."""
    folder = tmp_path_factory.mktemp("server")
    settings: dict[str, str | Path | float] = {
        "bundle_store": store,
        "state_dir": folder,
        "event_log": "",
        "drain_lag": 0,
    }
    with ServerProcess(settings, folder / "log") as process:
        yield Running(process.pid, process.port)


@pytest.fixture(params=["aio", "pool"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """An empty service of both kinds, with a reply of 300 bytes."""
    port = free_port()
    kind = [request.param, str(port)]
    command = [sys.executable, "-m", "benchmarks.echo_server", "ab" * 300, *kind]
    with started(command, port, tmp_path / "log") as running:
        yield running


def test_every_body_is_answered(empty: Running) -> None:
    """More bytes than HTTP/2's first window go out, and every reply comes back whole."""
    bodies = [bytes([n % 256]) * 500 for n in range(300)]
    answers = call_each(empty.port, SCORE, bodies, 16, 30.0)
    assert answers.bodies == [b"\xab" * 300] * 300
    assert len(answers.latencies_ms) == 300
    assert min(answers.latencies_ms) > 0


def test_h2load_drives_the_empty_service(empty: Running, tmp_path: Path) -> None:
    """Calls, latencies, processor time and memory are all found."""
    program = shutil.which("h2load")
    if program is None:
        pytest.skip("h2load is not installed")
    target = h2load.grpc_target(empty.port, SCORE, b"x" * 300, tmp_path / "body")
    size = len(prefixed(b"\xab" * 300))
    prepare = repeated(program, target, tmp_path / "log.tsv", reply_bytes=size)
    found = measure(empty, prepare(4, 0.3))
    assert found.per_s > 0
    assert found.p99_ms >= found.p50_ms > 0
    assert found.cpu_us > 0
    assert found.rss_mb > 1


def test_a_rate_is_kept(empty: Running) -> None:
    """Calls go out when they are due, not when earlier ones are answered."""
    answers = call_at_rate(empty.port, SCORE, [b"x" * 300] * 100, 200.0)
    assert len(answers.bodies) == len(answers.latencies_ms) == 100
    assert answers.seconds >= 99 / 200


def test_our_answers_are_the_offline_ones(ours: Running, bundle: LoadedBundle) -> None:
    """All kinds of calls that are measured pass the check; a repeated one is answered alike."""
    answered = checked(ours.port, SHOPPERS, OfflineShop(bundle, None), "checked")
    (again,) = call_each(ours.port, SCORE, [answered.score], 1, 30.0).bodies
    assert len(again) == len(answered.score_reply)
    assert answered.features.shape == (len(bundle.feature_names),)


def test_a_wrong_answer_is_found(ours: Running, bundle: LoadedBundle) -> None:
    """A probability that differs in its last bits fails the check."""
    visits = score_calls.visits(SHOPPERS, "wrong", 1)
    replies = begin(ours.port, visits)
    (score,) = OfflineShop(bundle, None).score([visits[0].first()])
    check_scores(replies, [score])
    assert score.conversion is not None
    with pytest.raises(WrongAnswerError, match="conversion"):
        check_scores(replies, [replace(score, conversion=score.conversion * (1 + 1e-15))])


def test_new_events_are_all_taken(ours: Running) -> None:
    """Each call counts one event, several in flight; the same ones again are found out."""
    load = NewEvents(ours.port, SHOPPERS, "taken").in_flight(8, 0.2)()
    assert load.calls > 0
    visits = score_calls.visits(SHOPPERS, "twice", 2)
    begin(ours.port, visits)
    requests = [visits[0].later(0), visits[1].later(0), visits[0].later(0)]
    bodies = [request.SerializeToString() for request in requests]
    with pytest.raises(WrongAnswerError, match="twice-0-event-20"):
        check_taken(requests, call_each(ours.port, SCORE, bodies, 1, 30.0).bodies)


def test_a_failed_call_is_found(ours: Running) -> None:
    """An error has no message; h2load would count it as a success."""
    with pytest.raises(CallFailedError, match="failed"):
        call_each(ours.port, SCORE, [b""], 1, 30.0)


def test_a_server_that_ends_is_told(tmp_path: Path) -> None:
    """The message names the log."""
    with (
        pytest.raises(ServerDidNotStartError, match="log"),
        started([sys.executable, "-c", "raise SystemExit(3)"], free_port(), tmp_path / "log"),
    ):
        pass

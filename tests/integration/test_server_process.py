"""The server as a process: starting, signals, probes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psutil
import pytest

from micromoment import health
from micromoment.client import Client, event
from micromoment.client.admin import AdminClient
from tests.support.server_process import START_S, Start
from tests.support.tiny_bundle import make_tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


def await_child(pid: int, timeout_s: float = START_S) -> None:
    """Wait until a process has started another one."""
    deadline = time.monotonic() + timeout_s
    while not psutil.Process(pid).children():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_server_serves_drains_and_keeps_its_sessions(start: Start, tmp_path: Path) -> None:
    """SIGTERM ends it with status 0; its successor goes on with the session."""
    state_file = str(tmp_path / "sessions.bin")
    seen = []
    for number in range(2):
        server = start(state_file=state_file, state_dir=str(tmp_path))
        port = server.await_event("serving")["port"]
        with Client(f"127.0.0.1:{port}") as client:
            seen.append(client.score("s1", [event("page_view", event_id=f"e{number}")]).events_seen)
        server.process.send_signal(signal.SIGTERM)
        status, seconds = server.end(10)
        assert status == 0, server.log
        assert seconds < 5 + 1
    assert seen == [1, 2]


def test_an_open_watch_does_not_hold_up_the_drain(start: Start) -> None:
    """A client that watches health costs a stopping server none of its grace."""
    server = start(drain_grace="30")
    port = server.await_event("serving")["port"]
    with Client(f"127.0.0.1:{port}") as client:
        client.score("s1", [event("page_view")])
        server.process.send_signal(signal.SIGTERM)
        status, seconds = server.end(20)
    assert status == 0, server.log
    assert seconds < 5


def test_health_is_asked_by_a_command(start: Start) -> None:
    """The probe ends with 0 while the server serves and with 1 when nobody answers."""
    server = start()
    port = str(server.await_event("serving")["port"])
    probe = [sys.executable, "-m", "micromoment.health", "--port", port]
    up = subprocess.run(probe, capture_output=True, text=True, check=False)
    service = "micromoment.v1.ScoringService"
    assert (up.returncode, up.stdout) == (0, "SERVING\n")
    assert health.check(f"127.0.0.1:{port}", service) == "SERVING"
    assert health.check(f"127.0.0.1:{port}", "nothing") == "NOT_FOUND"
    server.process.send_signal(signal.SIGTERM)
    server.end(10)
    down = subprocess.run(probe, capture_output=True, text=True, check=False)
    assert (down.returncode, down.stdout) == (1, "UNAVAILABLE\n")


def test_a_taken_metrics_port_ends_the_start_with_a_clear_line(start: Start) -> None:
    """It names its own setting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start(metrics_port=str(port))
        status, _ = server.end(20)
    assert status != 0
    why = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert server.plain_lines == [f"micromoment: setting metrics_port: {why}"]


def test_a_missing_bundle_ends_the_start_with_a_clear_line(start: Start) -> None:
    """The line names the bundle; the status is not 0."""
    server = start(bundle="nothing:latest")
    status, _ = server.end(20)
    assert status != 0
    (line,) = server.plain_lines
    assert line.startswith("micromoment: bundle nothing:latest: ")


def test_an_activation_does_not_hold_up_the_end(start: Start, tmp_path: Path) -> None:
    """A server that is told to stop while it tries a bundle ends as ever."""
    store = tmp_path / "store"
    first = make_tiny_store(store)
    make_tiny_store(store, seed=2)
    server = start(bundle_store=str(store), bundle=first.tag, admin_port="0")
    port = server.await_event("serving")["admin_port"]
    with AdminClient(f"127.0.0.1:{port}") as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.activate_bundle, "shop:latest")
        await_child(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        status, seconds = server.end(10)
        assert isinstance(asked.exception(), grpc.RpcError)
    assert status == 0, server.log
    assert seconds < 5 + 1


def test_a_taken_admin_port_ends_the_start_with_a_clear_line(start: Start) -> None:
    """The setting is named, and so is the address, which is loopback whatever the host is."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = start(admin_port=str(port), host="0.0.0.0", insecure="true")  # noqa: S104 - on purpose
        status, _ = server.end(START_S)
    assert status == 1
    why = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert server.plain_lines == [f"micromoment: setting admin_port: {why}"]


def test_a_second_signal_ends_the_drain(start: Start) -> None:
    """Whoever asks twice does not wait."""
    server = start(drain_lag="60")
    server.await_event("serving")
    server.process.send_signal(signal.SIGINT)
    server.await_event("draining")
    server.process.send_signal(signal.SIGINT)
    status, seconds = server.end(10)
    assert status == 128 + signal.SIGINT
    assert seconds < 2


def test_neither_logs_nor_metrics_hold_an_id(start: Start) -> None:
    """What callers send as ids, good or bad, is found in neither."""
    server = start(metrics_port="0", log_level="debug")
    serving = server.await_event("serving")
    with Client(f"127.0.0.1:{serving['port']}") as client:
        client.score("canary-s", [event("page_view", event_id="canary-e")], user_id="canary-u")
        assert client.try_score("canary-x") is None
        assert client.try_score("canary-y" * 100) is None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{serving['metrics_port']}/metrics") as reply:
        metrics = reply.read().decode()
    server.process.send_signal(signal.SIGTERM)
    server.end(10)
    assert 'micromoment_call_seconds_count{code="NOT_FOUND",method="Score"} 1.0' in metrics
    assert "canary" not in metrics
    assert "canary" not in server.log


def test_a_misspelt_variable_ends_the_start_with_its_name(start: Start) -> None:
    """A setting that nobody reads would be a trap."""
    server = start(drainlag="1")
    status, _ = server.end(20)
    assert status != 0
    (line,) = server.plain_lines
    assert line.startswith("micromoment: setting MICROMOMENT_DRAINLAG: ")

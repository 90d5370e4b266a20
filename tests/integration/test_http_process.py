"""The HTTP front door as a process: `micromoment serve-http`, and as a bento."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import pytest

from tests.support.tiny_bundle import make_tiny_store
from training.server_process import HttpServerProcess, free_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
START_S = 120.0
EVENT = {
    "type": "EVENT_TYPE_PAGE_VIEW",
    "eventTime": "2024-05-01T12:00:00Z",
    "page": {"pageId": "/"},
}


def settings_of(folder: Path) -> dict[str, str | Path | float]:
    """Give settings of a server with a bundle and files of its own."""
    make_tiny_store(folder / "store")
    return {
        "bundle_store": folder / "store",
        "state_dir": folder,
        "state_file": folder / "sessions.bin",
        "drain_lag": 1.0,
        "log_format": "json",
    }


def get(port: int, path: str) -> int:
    """Get a page; gives its status."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def events_seen(port: int, event_id: str) -> int:
    """Send an event of a visit; gives how many the server knows of it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    body = json.dumps({"sessionId": "s", "events": [{"eventId": event_id, **EVENT}]})
    try:
        connection.request("POST", "/v1/score", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        reply = json.load(answer)
    finally:
        connection.close()
    assert answer.status == 200, reply
    return int(reply["eventsSeen"])


def test_it_serves_drains_and_keeps_its_sessions(tmp_path: Path) -> None:
    """Draining it is not ready and answers still; its successor goes on; the status is 0."""
    settings = settings_of(tmp_path)
    for number in range(2):
        server = HttpServerProcess(settings, tmp_path / "server.log")
        server.start()
        assert events_seen(server.port, f"e{number}") == number + 1
        os.kill(server.pid, signal.SIGTERM)
        deadline = time.monotonic() + START_S
        while get(server.port, "/readyz") == 200:
            assert time.monotonic() < deadline
        assert events_seen(server.port, f"e{number}") == number + 1
        assert server.wait() == 0
    lines = (tmp_path / "server.log").read_text().splitlines()
    logged = [json.loads(line)["event"] for line in lines if line.startswith("{")]
    wanted = ["serving", "serving_http", "draining", "sessions_kept", "stopped"]
    assert [name for name in logged if name in wanted] == wanted * 2


def test_sigterm_while_loading_ends_at_once(tmp_path: Path) -> None:
    """A file that never ends (a FIFO) holds up loading, but not the end; the status is 0."""
    settings = settings_of(tmp_path)
    (manifest,) = (tmp_path / "store").glob("shop/*/manifest.json")
    manifest.unlink()
    os.mkfifo(manifest)
    given = {f"MICROMOMENT_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "micromoment", "serve-http", "--port", "0"]
    with subprocess.Popen(command, env={**os.environ, **given}, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert any(b'"loading"' in line for line in process.stderr)
            process.terminate()
            assert process.wait(START_S) == 0
        finally:
            process.kill()


def run(settings: dict[str, str | Path | float], *options: str) -> list[str]:
    """Start a server that must end by itself; gives what it wrote beside its log."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MICROMOMENT_")}
    given = {f"MICROMOMENT_{name.upper()}": str(value) for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "micromoment", "serve-http", *options],
        env={**clean, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return [line for line in done.stdout.splitlines() if not line.startswith("{")]


MISTAKEN: Final = """
import sys
import threading
from micromoment.cli import main
from micromoment.http.service import FrontDoor

start = FrontDoor.start

async def mistaken(front_door):
    threading.Thread(target=lambda: 1 / 0, name="upkeep").start()
    await start(front_door)

FrontDoor.start = mistaken
sys.argv = ["micromoment", "serve-http", "--port", "0"]
main()
"""


def test_a_thread_that_ends_by_a_mistake_is_told(tmp_path: Path) -> None:
    """In the log, as by the gRPC server, and not as a traceback beside it."""
    given = {f"MICROMOMENT_{name.upper()}": str(one) for name, one in settings_of(tmp_path).items()}
    command = [sys.executable, "-c", MISTAKEN]
    with subprocess.Popen(command, env={**os.environ, **given}, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            told = next(one for one in process.stderr if b"upkeep" in one or b"serving_http" in one)
            found = json.loads(told)
            assert (found["event"], found["error"]) == ("background_ended", "ZeroDivisionError")
        finally:
            process.kill()


def test_a_taken_port_ends_the_start_with_a_clear_line(tmp_path: Path) -> None:
    """It names the setting, before anything is loaded."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lines = run(settings_of(tmp_path), "--port", str(port))
    why = f"cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert lines == [f"micromoment: setting http_port: {why}"]


def test_a_missing_bundle_ends_the_start_with_a_clear_line(tmp_path: Path) -> None:
    """One line names the bundle; no traceback of a library's is around it."""
    lines = run(settings_of(tmp_path), "--port", "0", "--bundle", "nothing:latest")
    (line,) = [line for line in lines if "[INFO]" not in line]
    assert line.startswith("micromoment: bundle nothing:latest: ")


@pytest.fixture
def bento_home(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody with a BentoML home of their own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MICROMOMENT_")}
    kept.pop("PROMETHEUS_MULTIPROC_DIR", None)
    return {**kept, "BENTOML_HOME": str(tmp_path / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}


@pytest.mark.slow
def test_bentoml_builds_a_bento_that_serves(bento_home: dict[str, str], tmp_path: Path) -> None:
    """`bentoml build` packs what is needed and no bundle; `bentoml serve` answers from settings."""
    built = subprocess.run(
        [BIN / "bentoml", "build", "--output", "tag"],
        cwd=ROOT,
        env=bento_home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    tag = built.stdout.strip().removeprefix("__tag__:")
    bento = tmp_path / "bentoml/bentos" / tag.replace(":", "/")
    assert (bento / "src/micromoment/http/comments.json").is_file()
    assert not list(bento.rglob("conversion.txt"))
    packed = (bento / "env/python/requirements.txt").read_text().split()
    assert set((ROOT / "requirements/http.txt").read_text().split()) <= set(packed)
    port = free_port()
    given = {"http_port": port, **settings_of(tmp_path), "state_file": ""}
    settings = {f"MICROMOMENT_{name.upper()}": str(value) for name, value in given.items()}
    log = tmp_path / "serve.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            [BIN / "bentoml", "serve", tag], cwd=tmp_path, env=bento_home | settings,
            stdout=out, stderr=out,
        ) as process,
    ):  # fmt: skip
        try:
            deadline = time.monotonic() + START_S
            while not answers(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            assert [events_seen(port, f"e{number}") for number in range(2)] == [1, 2]
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert "Clearing labels" not in log.read_text()


def answers(port: int) -> bool:
    """Tell whether a front door is ready there."""
    try:
        return get(port, "/readyz") == 200
    except OSError:
        return False

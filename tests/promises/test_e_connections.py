"""E3: peers that use a server's ports for anything but calls."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import grpc
import psutil
import pytest

from micromoment.client import Client, event
from micromoment.client.admin import AdminClient
from micromoment.v1.scoring_pb2 import ScoreRequest
from micromoment.v1.scoring_pb2_grpc import ScoringServiceStub
from tests.promises.conftest import Form, Reached
from tests.support import hostile_peers as peers
from tests.support.hostile_peers import Attack, seconds_until, under
from tests.support.restarts import scrape
from tests.support.server_process import Server, servers

MOST_GROWTH_MB = 20.0
MOST_FLOOD_MB = 250.0
MOST_WAIT_S = 8.0
FILES = 128
SERVE_HTTP = ("-m", "micromoment", "serve-http")


@dataclass
class Target:
    """A server under attack, and how a new client of each of its ports fares."""

    server: Server
    ports: dict[str, int]
    figures: dict[str, tuple[float, float]] = field(default_factory=dict)
    flood_mb: float = 0.0

    @property
    def rss_mb(self) -> float:
        """Megabytes of memory that the process has now."""
        return float(psutil.Process(self.server.process.pid).memory_info().rss) / 2**20

    def wait(self, port: str) -> float:
        """Give the seconds until a new client of a port is answered."""
        return seconds_until(lambda: self.answers(port), 2 * MOST_WAIT_S)

    def waits(self) -> dict[str, float]:
        """Give them for each port."""
        return {port: self.wait(port) for port in self.ports}

    def answers(self, port: str) -> bool:
        """Ask on a new connection, as its clients do."""
        return ASKING[port](self.ports[port])


def scored(port: int) -> bool:
    """Score a visit."""
    with Client(f"127.0.0.1:{port}", deadline_s=2) as client:
        return client.try_score("s1", [event("page_view", page="/")], anonymous_id="b") is not None


def listed(port: int) -> bool:
    """List the bundles."""
    try:
        with AdminClient(f"127.0.0.1:{port}") as client:
            return len(client.list_bundles().bundles) > 0
    except grpc.RpcError:
        return False


def scraped(port: int) -> bool:
    """Read the metrics."""
    try:
        return "micromoment_" in scrape(port)
    except (OSError, HTTPException):
        return False


def scored_over_http(port: int) -> bool:
    """Score a visit as JSON."""
    body = {"eventId": "e", "type": "EVENT_TYPE_PAGE_VIEW", "eventTime": "2026-01-05T10:00:00Z"}
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        headers = {"content-type": "application/json"}
        connection.request(
            "POST", "/v1/score", json.dumps({"sessionId": "s", "events": [body]}), headers
        )
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


ASKING: dict[str, Callable[[int], bool]] = {
    "port": scored,
    "admin_port": listed,
    "metrics_port": scraped,
    "http_port": scored_over_http,
}


@contextmanager
def highest(target: Target) -> Iterator[Callable[[], float]]:
    """Watch the memory while the body runs; gives its highest growth so far, in MB."""
    before = target.rss_mb
    grown = [0.0]
    ends = threading.Event()

    def watch() -> None:
        while not ends.wait(0.02):
            grown[0] = max(grown[0], target.rss_mb - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: grown[0]
    finally:
        ends.set()
        thread.join()


def withstands(target: Target, name: str, port: str, attack: Attack, seconds: float) -> None:
    """Attack one port: new clients of all are answered meanwhile and afterwards, memory holds."""
    with highest(target) as growth:
        with under(attack, target.ports[port], peers=3):
            time.sleep(seconds)
            waits = target.waits()
        after = target.wait(port)
    slowest = max(*waits.values(), after)
    target.figures[f"{name} at {port}"] = (growth(), slowest)
    assert target.server.process.poll() is None
    assert slowest <= MOST_WAIT_S, (waits, after)
    assert growth() < MOST_GROWTH_MB


@pytest.fixture(scope="module")
def runner() -> tuple[str, ...]:
    """What gives a process few file descriptors."""
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("prlimit is not installed: the package util-linux has it")
    return (prlimit, f"--nofile={FILES}:{FILES}")


@pytest.fixture(scope="module")
def target(
    store: Path, tmp_path_factory: pytest.TempPathFactory, runner: tuple[str, ...]
) -> Iterator[Target]:
    """A gRPC server with all its ports, which has answered before."""
    with servers(store, tmp_path_factory.mktemp("target")) as start:
        server = start(runner=runner, admin_port="0", metrics_port="0")
        said = server.await_event("serving")
        target = Target(
            server, {name: said[name] for name in ("port", "admin_port", "metrics_port")}
        )
        for _ in range(20):
            assert all(target.answers(port) for port in target.ports)
        yield target


@pytest.fixture(scope="module")
def door(
    store: Path, tmp_path_factory: pytest.TempPathFactory, runner: tuple[str, ...]
) -> Iterator[Target]:
    """The HTTP front door, which has answered before."""
    with servers(store, tmp_path_factory.mktemp("door")) as start:
        server = start(SERVE_HTTP, runner=runner, http_port="0", event_log="")
        target = Target(server, {"http_port": server.await_event("serving_http")["port"]})
        for _ in range(20):
            assert target.answers("http_port")
        yield target


HTTP2: dict[str, Attack] = {
    "slow preface": peers.slow_preface,
    "slow message": peers.slow_message,
    "rapid reset": peers.rapid_reset,
    "settings flood": peers.settings_flood,
    "ping flood": peers.ping_flood,
    "noise": peers.noise,
    "oversize message": peers.oversize,
    "bad calls": peers.bad_calls,
}
HTTP1: dict[str, Attack] = {
    "slow headers": peers.slow_headers,
    "huge headers": peers.huge_headers,
    "slow body": peers.slow_body,
    "chunks without end": peers.chunked_forever,
    "gzip body": peers.gzip_body,
    "deep JSON": peers.deep_json,
    "noise": peers.noise,
}


@pytest.mark.parametrize("name", HTTP2)
@pytest.mark.parametrize("port", ["port", "admin_port"])
def test_e3_http2_is_withstood(target: Target, name: str, port: str, form: Form) -> None:
    """Refused, RSS < +20 MB, a new client OK in <= 8 s, at both ports of gRPC."""
    withstands(target, name, port, HTTP2[name], form(0.5, 20.0))


@pytest.mark.parametrize("name", ["slow headers", "huge headers", "slow body", "noise"])
def test_e3_the_metrics_port_withstands_http1(target: Target, name: str, form: Form) -> None:
    """The same at the port of the metrics."""
    withstands(target, name, "metrics_port", HTTP1[name], form(0.5, 20.0))


@pytest.mark.parametrize("name", HTTP1)
def test_e3_the_front_door_withstands_http1(door: Target, name: str, form: Form) -> None:
    """The same at the HTTP front door."""
    withstands(door, name, "http_port", HTTP1[name], form(0.5, 20.0))


@pytest.mark.parametrize("port", ["port", "admin_port", "metrics_port"])
def test_e3_silent_connections_shut_nobody_out(target: Target, port: str) -> None:
    """200 connections that say nothing at a server with 128 file descriptors."""
    shuts_nobody_out(target, port)


def test_e3_silent_connections_shut_nobody_out_of_the_front_door(door: Target) -> None:
    """The same at the HTTP front door."""
    shuts_nobody_out(door, "http_port")


def shuts_nobody_out(target: Target, port: str) -> None:
    """Hold connections open while a new client asks."""
    with highest(target) as growth:
        held = peers.silent_connections(target.ports[port], 200)
        waits = target.waits()
        for one in held:
            one.close()
    assert len(held) == 200
    target.figures[f"silent at {port}"] = (growth(), max(waits.values()))
    assert max(waits.values()) <= MOST_WAIT_S, waits
    assert growth() < MOST_GROWTH_MB


@pytest.mark.parametrize("size", [1 << 20, 1 << 26, 1 << 30], ids=["1 MB", "64 MB", "1 GB"])
def test_e3_a_compressed_message_is_not_inflated_beyond_its_limit(
    target: Target, size: int
) -> None:
    """A message of some hundred KB that would inflate to 1 GB costs less than 20 MB."""
    bomb = peers.gzip_bomb(size)
    with highest(target) as growth:
        for _ in range(3):
            peers.compressed_call(target.ports["port"], bomb)
        assert target.wait("port") <= MOST_WAIT_S
    target.figures[f"gzip bomb of {size >> 20} MB"] = (growth(), 0.0)
    assert growth() < MOST_GROWTH_MB


@pytest.mark.parametrize(
    "attack", [peers.hpack_bomb, peers.endless_references, peers.endless_headers]
)
def test_e3_floods_of_headers_are_survived(target: Target, attack: Attack, form: Form) -> None:
    """Headers without end, or that refer to a long one 12,000 times, as fast as they are taken.

    gRPC's parser takes more than 20 MB for them, and the more the busier the machine, but gives it
    back; clients are answered meanwhile.
    """
    before = target.rss_mb
    with highest(target) as growth, under(attack, target.ports["port"], peers=3):
        time.sleep(form(1.0, 20.0))
        assert target.wait("port") <= MOST_WAIT_S
    target.flood_mb = max(target.flood_mb, growth())
    assert target.server.process.poll() is None
    assert target.wait("port") <= MOST_WAIT_S
    assert target.rss_mb - before < MOST_FLOOD_MB


def test_e3_oversize_metadata_is_refused(target: Target) -> None:
    """Headers of more than 16 KiB end the call, not the server."""
    with Client(f"127.0.0.1:{target.ports['port']}") as client:
        client.wait_until_ready(10)
    with grpc.insecure_channel(f"127.0.0.1:{target.ports['port']}") as channel:
        score = ScoringServiceStub(channel).Score
        with highest(target) as growth:
            for _ in range(20):
                with pytest.raises(grpc.RpcError) as caught:
                    score(ScoreRequest(), metadata=(("x", "y" * 20_000),), timeout=5)
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert target.answers("port")
    assert growth() < MOST_GROWTH_MB


def test_e3_the_figures(target: Target, door: Target, reached: Reached) -> None:
    """All of that was measured."""
    figures = target.figures | door.figures
    assert len(figures) >= 2 * len(HTTP2) + len(HTTP1)
    most = max(figures, key=lambda name: figures[name][0])
    last = max(figures, key=lambda name: figures[name][1])
    reached(
        "E3",
        f"{len(figures)} attacks: RSS +{figures[most][0]:.1f} MB at most ({most}), "
        f"a new client OK after {figures[last][1]:.1f} s at most ({last}); floods of headers "
        f"+{target.flood_mb:.0f} MB while they last",
    )
    logged = target.server.log + door.server.log
    assert "Traceback" not in logged
    assert "unexpected_error" not in logged

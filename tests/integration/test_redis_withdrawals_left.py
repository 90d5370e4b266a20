"""A server on Redis is killed while a withdrawal is pending: another finishes it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from micromoment.client import Client, consent, event
from micromoment.v1 import events_pb2 as pb
from tests.support.consenting import redis_with
from tests.support.served_log import segment_store
from tests.support.server_process import Server, Start

GONE_S = 60.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a bundle."""
    folder = tmp_path_factory.mktemp("store")
    segment_store(folder)
    return folder


def a_server(start: Start, port: int) -> Server:
    """Start a server with its sessions on Redis."""
    return start(bundle="tiny:latest", session_store=f"redis://127.0.0.1:{port}")


def client_of(server: Server) -> Client:
    """Connect to a server once it serves."""
    return Client(f"127.0.0.1:{server.await_event('serving')['port']}", deadline_s=20.0)


def traces(port: int) -> int:
    """Count what Redis holds of the visit."""
    return sum(redis_with(port, ["secret", "withdrawing"]).values())


def test_a_pending_withdrawal_outlives_its_server(start: Start, port: int, redis: Redis) -> None:
    """The next server's start deletes what the killed one could not."""
    admin: Any = redis
    first = a_server(start, port)
    with client_of(first) as client:
        client.score("secret-s1", [event("item_view", event_id="secret-1")], anonymous_id="a")
        try:
            # Sessions go, and no call goes from the log.
            admin.execute_command("ACL", "SETUSER", "default", "-xdel")
            reply = client.score(
                "secret-s1",
                [event("item_view", event_id="secret-2")],
                consent=consent(analytics="denied"),
            )
            assert reply.consent.withdrawal == pb.WITHDRAWAL_PENDING
            first.process.kill()
            first.end(10)
        finally:
            admin.execute_command("ACL", "SETUSER", "default", "+xdel")
    assert traces(port) > 0
    with client_of(a_server(start, port)) as client:
        deadline = time.monotonic() + GONE_S
        while traces(port):
            assert time.monotonic() < deadline, "it is still there"
            time.sleep(0.1)
        granted = consent(analytics="granted")
        reply = client.score(
            "secret-s1", [event("item_view", event_id="e3")], consent=granted, anonymous_id="a"
        )
        assert reply.events_seen == 1

"""F5: whom a shop erases is gone from every store, and stays away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from redis import Redis

from micromoment.client import Client
from micromoment.client.admin import AdminClient
from micromoment.stores.log_segments import segments
from micromoment.v1 import privacy_pb2
from tests.promises.conftest import Form, Reached
from tests.support.feature_stores import a_locked_file, a_redis, redis_config
from tests.support.privacy import (
    BROWSER,
    SESSION,
    USER,
    Visits,
    a_workspace_with_them,
    traces_in_files,
    traces_in_redis,
)
from tests.support.server_process import Server, Start

FILE_CALLS = "pwrite64,fsync,fdatasync,rename,renameat,renameat2,ftruncate"
# Redis is told by writing to a socket.
SOCKET_CALLS = f"{FILE_CALLS},write,writev,sendto,sendmsg"

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: it breaks processes off"
)


@dataclass
class Shop:
    """One server with its stores; `redis` is its Redis, None where all is in memory and files."""

    start: Start
    state: Path
    features: Path
    redis: Redis | None
    redis_process: subprocess.Popen[bytes] | None
    server: Server | None = None

    @contextmanager
    def serving(self) -> Iterator[tuple[Visits, AdminClient]]:
        """Start the server; give who comes to it, and its operator."""
        settings = {
            "state_dir": str(self.state),
            "admin_port": "0",
            "feature_store": str(self.features),
            "user_feature_timeout": "5",
            "session_timeout": "5",
        }
        if self.redis is None:
            settings["state_file"] = str(self.state / "sessions")
        else:
            port = self.redis.connection_pool.connection_kwargs["port"]
            settings["session_store"] = f"redis://127.0.0.1:{port}"
        self.server = self.start(**settings)
        ports = self.server.await_event("serving")
        with ExitStack() as stack:
            client = stack.enter_context(Client(f"127.0.0.1:{ports['port']}", deadline_s=20))
            assert client.wait_until_ready(20)
            admin = AdminClient(f"127.0.0.1:{ports['admin_port']}")
            stack.enter_context(admin)
            yield Visits(client), admin

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the server."""
        assert self.server is not None
        self.server.process.send_signal(number)
        self.server.end(30)

    def traces(self) -> list[str]:
        """Name the files and keys in which they are."""
        found = traces_in_files(self.state, self.features)
        return found if self.redis is None else found + traces_in_redis(self.redis)

    def plant(self) -> None:
        """Let them and others leave traces in every store, over a stop and a crash."""
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with self.serving() as (visits, _):
                visits.theirs()
                visits.theirs(f"canary-{ending.name}")
                visits.others()
                assert visits.outside(USER).accepted == 1
                assert visits.outside("customer").accepted == 1
            self.stop(ending)
            if self.redis is None and ending is signal.SIGTERM:
                assert "sessions" in self.traces()
        found = {one.removesuffix("-wal") for one in self.traces()}
        if self.redis is None:
            logs = {path.name for path in segments(self.state / "event_log")}
            assert len(found & logs) >= 2
            assert {"outside_visits.sqlite", "online.db"} <= found
        else:
            assert {"micromoment:log", "micromoment:log:outside"} <= found
            assert sum("writes" in one for one in found) == 3
        assert any(one.endswith(".parquet") for one in found)


@pytest.fixture(params=["files", "redis"])
def shop(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose stores are all in memory and files, or in Redis as far as they can be."""
    with ExitStack() as stack:
        process, client, config = None, None, None
        if request.param == "redis":
            process, port = stack.enter_context(a_redis(tmp_path))
            client = stack.enter_context(Redis(port=port))
            config = redis_config(port)
        workspace = a_workspace_with_them(tmp_path / "shop", own_config=config)
        yield Shop(start, tmp_path / "state", workspace.root, client, process)


def reason_of(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Give the status and the reason of an error."""
    info = ErrorInfo()
    status = rpc_status.from_call(cast(grpc.Call, error))
    assert status is not None
    status.details[0].Unpack(info)
    return error.code(), info.reason


def counts(reply: privacy_pb2.EraseUserResponse) -> list[int]:
    """Give what was erased of each store."""
    return [
        reply.sessions,
        reply.logged_calls,
        reply.outside_events,
        reply.online_rows,
        reply.workspace_rows,
    ]


def test_f5_nothing_is_left_and_nothing_comes_back(shop: Shop, reached: Reached) -> None:
    """After OK no file and no key has a trace; late events change nothing, also after a restart."""
    shop.plant()
    with shop.serving() as (visits, admin):
        visits.theirs()
        others = visits.others()
        held = [one.WhichOneof("held") for one in admin.export_user(USER, [BROWSER])]
        assert set(held) == {"session", "call", "outside_event", "row"}
        traces = shop.traces()
        reply = admin.erase_user(USER, [BROWSER])
        assert min(counts(reply)) > 0
        assert reply.sessions == 3
        assert shop.traces() == []
        assert list(admin.export_user(USER, [BROWSER])) == []
        assert counts(admin.erase_user(USER, [BROWSER])) == [0] * 5
        # Others are as they were.
        assert visits.others().events_seen == others.events_seen + 1
        come_late(visits)
        assert shop.traces() == []
    shop.stop(signal.SIGKILL)
    with shop.serving() as (visits, _):
        assert visits.others().events_seen == others.events_seen + 2
        come_late(visits)
        assert shop.traces() == []
        # A visit that begins after the erasure is a new one.
        again = visits.theirs()
        assert again.events_seen == 2
        assert shop.traces() != []
    shop.stop()
    reached(
        "F5",
        f"{len(traces)} files and keys with traces before, 0 after; late events: none kept, after "
        "a restart neither",
    )


def come_late(visits: Visits) -> None:
    """Send events from before the erasure, of each of their ids and of their session alone."""
    late = timedelta(hours=1)
    whose: list[dict[str, Any]] = [{"user_id": USER}, {"anonymous_id": BROWSER}, {}]
    for ids in whose:
        score = visits.client.score(SESSION, [visits.an_event("canary", ago=late)], **ids)
        assert score.events_seen == 1
        if not ids:
            continue
        taken = visits.client.ingest(
            [visits.an_event("canary", ago=late)], session_id=SESSION, **ids
        )
        assert (taken.accepted, taken.duplicates, taken.erased) == (0, 0, 1)
    taken = visits.outside(USER, ago=late)
    assert (taken.accepted, taken.duplicates, taken.erased) == (0, 0, 1)
    with pytest.raises(grpc.RpcError) as error:
        visits.client.get_session(SESSION)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_f5_a_store_that_is_down_is_said(shop: Shop) -> None:
    """UNAVAILABLE, never OK; asking again when it is back does the rest."""
    shop.plant()
    with shop.serving() as (visits, admin):
        visits.theirs()
        with pytest.raises(grpc.RpcError) as error, a_store_down(shop):
            admin.erase_user(USER, [BROWSER])
        incomplete = "ERASURE_INCOMPLETE" if shop.redis is None else "ERASURE_NOT_BEGUN"
        assert reason_of(error.value) == (grpc.StatusCode.UNAVAILABLE, incomplete)
        assert shop.traces() != []
        admin.erase_user(USER, [BROWSER])
        assert shop.traces() == []
    shop.stop()


@contextmanager
def a_store_down(shop: Shop) -> Iterator[None]:
    """Let a store not answer: Redis as a whole, or the online store, which another one locks."""
    if shop.redis_process is None:
        with a_locked_file(shop.features / "online.db"):
            yield
        return
    os.kill(shop.redis_process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(shop.redis_process.pid, signal.SIGCONT)
        time.sleep(1.5)  # the connection is tried again after a second


@needs_strace
def test_f5_an_erasure_that_is_broken_off_is_finished(
    shop: Shop, form: Form, reached: Reached
) -> None:
    """Killed at any write in the middle of it: the next start or the repeat leaves nothing."""
    shop.plant()
    finished = repeated = 0
    calls = FILE_CALLS if shop.redis is None else SOCKET_CALLS
    for place in form((1, 10), tuple(range(1, 60, 2))):
        with shop.serving() as (visits, admin):
            visits.theirs()
            if not is_killed_at(shop.server, calls, place, admin):
                break
        with shop.serving() as (visits, admin):
            if shop.traces():
                repeated += 1
                admin.erase_user(USER, [BROWSER])
            else:
                finished += 1
            assert shop.traces() == []
            visits.theirs()
        shop.stop()
    assert finished > 0
    assert finished + repeated >= 2
    reached(
        "F5",
        f"killed in the middle {finished + repeated} times: {finished} were finished by the next "
        f"start, {repeated} by asking again; 0 traces",
    )


def is_killed_at(server: Server | None, calls: str, place: int, admin: AdminClient) -> bool:
    """Erase, and kill the server at its n-th of some system calls; False where it makes fewer."""
    assert server is not None
    time.sleep(1.5)  # the log merges what was written every second
    with subprocess.Popen(
        [
            str(shutil.which("strace")), "-f", "-o", os.devnull, "-p", str(server.process.pid),
            "-e", f"trace={calls}", "-e", f"inject={calls}:signal=KILL:when={place}",
        ],
        stderr=subprocess.PIPE,
        text=True,
    ) as strace:  # fmt: skip
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        time.sleep(0.3)
        try:
            admin.erase_user(USER, [BROWSER])
        except grpc.RpcError:
            server.end(30)
            return True
        finally:
            strace.kill()
    return False

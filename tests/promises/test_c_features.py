"""C7 and C8: users' features that are missing, wrong, late or locked; and reading them often."""

from __future__ import annotations

import gc
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    closing,
    contextmanager,
)
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micromoment.bootstrap import make_service
from micromoment.client import AsyncClient, event
from micromoment.features.user_snapshot import UserStatus
from micromoment.settings import Settings
from micromoment.stores.user_features import FeastUserFeatures
from micromoment.v1 import scoring_pb2 as pb
from tests.promises.conftest import Form
from tests.support.feature_stores import (
    a_locked_file,
    a_redis,
    a_workspace,
    published,
    redis_config,
)
from training.feature_store import FeatureWorkspace, materialize

Reached = Callable[[str, str], None]
Trouble = Callable[[Path], AbstractContextManager[None]]

NOW = published(3) + timedelta(hours=1)
NOW_US = int(NOW.timestamp()) * 1_000_000
UNAVAILABLE = pb.DEGRADED_REASON_USER_FEATURES_UNAVAILABLE
STALE = pb.DEGRADED_REASON_USER_FEATURES_STALE
# Longer than a pause of a busy machine, shorter than the caller's deadline.
LOOK_UP_S = 0.5
DEADLINE_S = 5.0


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose rows are in SQLite."""
    workspace = a_workspace(tmp_path_factory.mktemp("workspace"))
    materialize(workspace, published(3))
    gc.collect()  # Feast leaves its connection to the garbage collector
    return workspace.root


@pytest.fixture
def workspace(published_once: Path, tmp_path: Path) -> FeatureWorkspace:
    """The same as the test's own."""
    return FeatureWorkspace(Path(shutil.copytree(published_once, tmp_path / "features")))


@asynccontextmanager
async def served(
    store: Path, state_dir: Path, workspace: FeatureWorkspace, max_age_s: float = 172_800.0
) -> AsyncIterator[AsyncClient]:
    """Run a server with the users of a workspace."""
    settings = Settings(
        port=0,
        metrics_port=None,
        admin_port=None,
        bundle_store=store,
        state_dir=state_dir,
        drain_lag=0.0,
        drain_grace=1.0,
        feature_store=workspace.root,
        user_feature_timeout=LOOK_UP_S,
        max_user_feature_age=max_age_s,
    )
    service = make_service(settings, clock_us=lambda: NOW_US)
    await service.listen()
    await service.load()
    async with AsyncClient(f"127.0.0.1:{service.port}", deadline_s=DEADLINE_S) as client:
        yield client
    await service.drain()


async def scored(client: AsyncClient, session: str, visitor: str = "a") -> pb.ScoreResponse:
    """Score a visitor's new visit: an answer inside the deadline, or the test fails."""
    one = event("page_view", event_id="e1", event_time=NOW)
    reply = await client.score(session, [one], anonymous_id=visitor)
    assert reply.HasField("conversion")
    return reply


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Let nobody in: Feast's own mode of SQLite, and an exclusive transaction elsewhere."""
    gc.collect()  # Feast leaves its connection to the garbage collector
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    with a_locked_file(file):
        yield


@contextmanager
def gone(file: Path) -> Iterator[None]:
    """Take the store away."""
    file.unlink()
    yield


def replaced(**value: Any) -> Trouble:  # noqa: ANN401 - fields of several types
    """Put a value of Feast's into a column of all rows, without one what is none."""

    @contextmanager
    def replace(file: Path) -> Iterator[None]:
        from micromoment.stores import feast_sdk  # takes seconds

        content = feast_sdk.Value(**value).SerializeToString() if value else b"\xff\xff"
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(
                "UPDATE micromoment_user_snapshot SET value = ? WHERE feature_name = 'sessions'",
                (content,),
            )
            connection.commit()
        yield

    return replace


@contextmanager
def cut(file: Path) -> Iterator[None]:
    """Take a column out of all rows."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM micromoment_user_snapshot WHERE feature_name = 'sessions'")
        connection.commit()
    yield


TROUBLES: dict[str, Trouble] = {
    "down": gone,
    "locked": locked,
    "a row that lacks a column": cut,
    "wrong type": replaced(string_val="many"),
    "NaN": replaced(double_val=float("nan")),
    "damaged": replaced(),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_c7_features_that_can_not_be_had(
    store: Path, tmp_path: Path, workspace: FeatureWorkspace, trouble: str, reached: Reached
) -> None:
    """Feast down, locked, missing row, stale row, wrong type, NaN.

    OK, degraded, named reason, inside the deadline.
    """
    with TROUBLES[trouble](workspace.root / "online.db"):
        async with served(store, tmp_path, workspace) as client:
            longest = 0.0
            for number in range(6):
                started = time.monotonic()
                reply = await scored(client, f"s{number}")
                longest = max(longest, time.monotonic() - started)
                assert list(reply.degraded) == [UNAVAILABLE]
                assert not reply.user_features.found
    assert longest < DEADLINE_S
    reached("C7", f"{trouble}: 6 of 6 OK and degraded, the longest {longest * 1e3:.0f} ms")


async def test_c7_a_missing_and_a_stale_row(
    store: Path, tmp_path: Path, workspace: FeatureWorkspace, reached: Reached
) -> None:
    """Somebody without a row is new and degrades nothing; a row that is old is said to be."""
    async with served(store, tmp_path, workspace, max_age_s=60.0) as client:
        new = await scored(client, "new", "nobody")
        old = await scored(client, "old", "a")
    assert (list(new.degraded), new.user_features.found) == ([], False)
    assert (list(old.degraded), old.user_features.found) == ([STALE], True)
    reached("C7", "no row: OK, not degraded, found = false; stale row: OK and USER_FEATURES_STALE")


async def test_c7_a_writer_stalls_nobody(workspace: FeatureWorkspace, reached: Reached) -> None:
    """While another process holds an exclusive transaction, rows are read, and in time."""
    async with reading(workspace) as users:
        before = [await _seconds(users) for _ in range(100)]
        with a_locked_file(workspace.root / "online.db"):
            during = [await _seconds(users) for _ in range(100)]
    ratio = float(np.median(during) / np.median(before))
    assert ratio < 3
    reached("C7", f"while a publisher writes, a read takes {ratio:.2f}x the time")


@asynccontextmanager
async def reading(workspace: FeatureWorkspace) -> AsyncIterator[FeastUserFeatures]:
    """Open a workspace as a server does, without its cache."""
    users = FeastUserFeatures(workspace.root, timeout_s=5.0, cache_ttl_s=0.0)
    users.warm_up()
    yield users
    await users.close()


async def _seconds(users: FeastUserFeatures) -> float:
    started = time.monotonic()
    assert (await users.look_up("a")).status is UserStatus.FOUND
    return time.monotonic() - started


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
async def test_c8_feature_latency_is_flat(
    tmp_path: Path, kind: str, form: Form, reached: Reached
) -> None:
    """Feature latency flat over 10,000 calls: last 1,000 <= 1.2x first 1,000.

    The first ones of another reader stand between the last ones, so that both meet the machine as
    it is then.
    """
    calls = form(2_000, 10_000)
    tenth = calls // 10
    with ExitStack() as stack:
        config = None
        if kind == "redis":
            config = redis_config(stack.enter_context(a_redis(tmp_path))[1])
        workspace = a_workspace(tmp_path, own_config=config)
        materialize(workspace, published(3))
        async with reading(workspace) as users, reading(workspace) as fresh:
            own = [await _seconds(users) for _ in range(calls - tenth)][100 : 100 + tenth]
            for _ in range(100):
                await _seconds(fresh)
            both = [(await _seconds(users), await _seconds(fresh)) for _ in range(tenth)]
    last, first = np.median(both, axis=0)
    fastest = np.quantile([one for one, _ in both], 0.1) / np.quantile(own, 0.1)
    reached(
        "C8",
        f"{kind}: the last {tenth:,} of {calls:,} reads take {last / first:.2f}x first ones in "
        f"between, {fastest:.2f}x their own first ones",
    )
    assert last <= 1.2 * first
    assert fastest <= 2

"""Part B: a model store that hangs, or is gone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from micromoment.client import AsyncClient
from tests.promises.conftest import Reached
from tests.support.paced_calls import paced
from tests.support.shop_server import ShopServer, Visits, a_shop_server
from tests.support.two_bundles import DAYS, SETTINGS, tags
from training.publishing.store import point_to


async def test_b5_the_model_store_may_be_gone(
    originals: Path, tmp_path: Path, reached: Reached
) -> None:
    """Model store gone or slow: serves on from memory; cold start from the local copy.

    Model age is a metric. The store is first a folder that hangs, then none.
    """
    store = Path(shutil.copytree(originals, tmp_path / "store"))
    first, second = tags(originals)
    given = {"bundle": "shop:serving", "bundle_poll": "0.1"}
    with a_shop_server(store, tmp_path, **given, **SETTINGS) as server:
        async with AsyncClient(server.address, deadline_s=10) as client:
            visits = Visits(client, originals, first)
            async with paced(visits.call, 50) as calls:
                let_hang(store / "shop" / "serving")
                await asyncio.sleep(1.0)
                await asyncio.to_thread(store.rename, tmp_path / "away")
                await asyncio.sleep(1.0)
                assert models_age(server) == pytest.approx(age_of(DAYS["last_day"]), abs=60)
        server.server.process.send_signal(signal.SIGTERM)
        assert server.server.end(10)[0] == 0
    with a_shop_server(store, tmp_path, **given, **SETTINGS) as server:
        cold = server.answers_with
        server.server.await_event("bundle_from_copy")
        point_to(tmp_path / "away", "shop", "serving", second.partition(":")[2])
        await asyncio.to_thread((tmp_path / "away").rename, store)
        started = time.monotonic()
        while server.answers_with != second:
            assert time.monotonic() < started + 60
            await asyncio.sleep(0.05)
    reached(
        "B5",
        f"{len(calls.failed)} of {len(calls.outcomes)} calls failed with the store hung and gone; "
        f"a cold start without it answers with the copy, and follows the store when it is back",
    )
    assert (calls.failed, visits.wrong, visits.bundles) == ([], [], {first})
    assert cold == first


def let_hang(file: Path) -> None:
    """Put something in a file's place that is waited for when it is read."""
    file.unlink()
    os.mkfifo(file)


def models_age(server: ShopServer) -> float:
    """Read the age of the bundle that answers, in seconds."""
    return server.metric("micromoment_bundle_age_seconds")


def age_of(day: str) -> float:
    """Give the seconds since the end of a day in Berlin in summer."""
    end = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=1, hours=-2)
    return (datetime.now(UTC) - end).total_seconds()

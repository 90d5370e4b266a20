"""Bundles that must not answer are refused, and the one that answers goes on (B2, B4)."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from micromoment.activation import BundleSwitch
from micromoment.errors import BundleRefusedError
from micromoment.scoring.golden import GoldenReport
from micromoment.scoring.manifest import ShopRecord, read_manifest
from micromoment.settings import Settings
from micromoment.stores.bundles import find_bundle
from micromoment.telemetry.metrics import Metrics
from micromoment.transport.application import ApplicationSlot
from tests.support.swapping import (
    Served,
    answer_of,
    change_latest,
    golden_answers,
    golden_visit,
    swapping,
)
from tests.support.tiny_bundle import make_tiny_store


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two small bundles, the first of them `serving`."""
    folder = tmp_path_factory.mktemp("store")
    first = make_tiny_store(folder)
    make_tiny_store(folder, seed=2)
    (folder / "shop" / "serving").write_text(first.version, encoding="utf-8")
    return folder


@pytest.fixture
def store(originals: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    return Path(shutil.copytree(originals, tmp_path / "store"))


@pytest.fixture
def settings(store: Path, tmp_path: Path) -> Settings:
    """Settings of a server that begins with the first bundle."""
    return Settings(
        port=0,
        metrics_port=None,
        admin_port=0,
        bundle="shop:serving",
        bundle_store=store,
        state_dir=tmp_path,
        drain_lag=0.0,
        drain_grace=1.0,
    )


@pytest.fixture
async def served(settings: Settings) -> AsyncIterator[Served]:
    """A server that serves the first bundle."""
    async with swapping(settings) as running:
        yield running


async def assert_goes_on(served: Served, store: Path, refusals: int) -> None:
    """The first bundle answers as ever, and each refusal was counted."""
    visit = golden_visit(store, "shop:serving")
    name = f"after-{refusals}"
    reply = await served.scoring.score(name, visit, anonymous_id="visitor", include_features=True)
    assert answer_of(reply)[0] == golden_answers(store, "shop:serving")[-1][0]
    assert served.value("micromoment_activations_total", outcome="refused") == refusals
    assert served.value("micromoment_activations_total", outcome="activated") == 0
    assert served.value("micromoment_serving") == 1


async def test_what_is_missing_is_named(served: Served, store: Path) -> None:
    """Another file, version, pointer or form than there is gives a status of its own."""
    assert (await served.refused("shop:0000000000000000"))[0] == "NOT_FOUND"
    assert (await served.refused("other:latest"))[0] == "NOT_FOUND"
    assert (await served.refused("shop"))[0] == "INVALID_ARGUMENT"
    assert (await served.refused("../shop:latest"))[0] == "INVALID_ARGUMENT"
    assert (await served.refused(""))[0] == "INVALID_ARGUMENT"
    (find_bundle(store, "shop:latest") / "conversion.txt").unlink()
    code, details = await served.refused("shop:latest")
    assert (code, "conversion.txt is missing" in details) == ("FAILED_PRECONDITION", True)
    (store / "shop" / "latest").write_text("../shop")
    assert (await served.refused("shop:latest"))[0] == "NOT_FOUND"
    assert served.value("micromoment_activations_total", outcome="not_found") == 3


@pytest.mark.parametrize(
    "shop",
    [
        ShopRecord(currency="USD", time_zone="Europe/Berlin"),
        ShopRecord(currency="EUR", time_zone="Europe/Lisbon"),
    ],
    ids=["currency", "time zone"],
)
async def test_a_bundle_of_another_shop_is_refused(
    served: Served, store: Path, shop: ShopRecord
) -> None:
    """Carts under way are counted in the shop's currency, and days by its time zone."""
    change_latest(store, shop=shop)
    code, details = await served.refused("shop:latest")
    assert code == "FAILED_PRECONDITION"
    assert shop.currency in details
    assert shop.time_zone in details
    await assert_goes_on(served, store, 1)


async def test_another_end_of_visits_holds_from_the_next_event_on(
    served: Served, store: Path
) -> None:
    """It is noted in the reply, and a visit under way is cut by the new gap."""
    visit = golden_visit(store, "shop:serving")  # events 20 seconds apart
    await served.scoring.score("s1", visit[:2], anonymous_id="visitor")
    change_latest(store, session_expiry_s=10)
    with_short = await served.refused("shop:latest")
    # Its golden answers are those of the longer gap.
    assert with_short[0] == "FAILED_PRECONDITION"
    make_tiny_store(store, seed=3, session_expiry_s=10)
    reply = await served.activate("shop:latest")
    assert list(reply.notes) == ["session_expiry_s 1800 becomes 10"]
    after = await served.scoring.score("s1", visit[2:3], anonymous_id="visitor")
    assert after.events_seen == 1


async def test_a_pipe_in_place_of_the_manifest_is_no_manifest(served: Served, store: Path) -> None:
    """Reading it would wait for ever: it is refused at once."""
    manifest = find_bundle(store, "shop:latest") / "manifest.json"
    manifest.unlink()
    os.mkfifo(manifest)
    assert await served.refused("shop:latest") == (
        "FAILED_PRECONDITION",
        f"bundle shop:{manifest.parent.name}: manifest.json is no file",
    )
    await assert_goes_on(served, store, 1)


async def test_an_activation_that_hangs_gives_way_to_others(originals: Path) -> None:
    """A store that hangs costs the activation that met it; it is counted, and the next may try."""
    hangs = threading.Event()

    def try_out(_folder: Path, _digest: str, _timeout_s: float) -> GoldenReport:
        hangs.wait(30.0)
        raise AssertionError("nobody waits any more")

    metrics = Metrics()
    active = read_manifest(find_bundle(originals, "shop:serving"))
    maker: Any = None  # nothing is made
    switch = BundleSwitch(
        originals, ApplicationSlot(), maker, metrics, active, try_out=try_out, timeout_s=0.2
    )
    try:
        for _ in range(2):
            with pytest.raises(BundleRefusedError, match="not ready after"):
                await switch.activate("shop:latest")
    finally:
        hangs.set()
    count = metrics.registry.get_sample_value
    assert count("micromoment_activations_total", {"outcome": "failed"}) == 2
    assert switch.active == active.tag

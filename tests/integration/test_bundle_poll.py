"""A server follows a pointer of the store."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from micromoment.settings import Settings
from micromoment.stores.bundles import find_bundle
from tests.support.swapping import Served, swapping
from tests.support.tiny_bundle import make_tiny_store
from training.publishing.store import point_to


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with two small bundles, the first of them `serving`."""
    folder = tmp_path / "store"
    first = make_tiny_store(folder)
    make_tiny_store(folder, seed=2)
    point_to(folder, "shop", "serving", first.version)
    return folder


@pytest.fixture
def settings(store: Path, tmp_path: Path) -> Settings:
    """Settings of a server that looks twenty times a second."""
    return Settings(
        port=0,
        metrics_port=None,
        admin_port=0,
        bundle="shop:serving",
        bundle_poll=0.05,
        bundle_store=store,
        state_dir=tmp_path,
        drain_lag=0.0,
        drain_grace=1.0,
    )


def outcomes(served: Served) -> dict[str, float | None]:
    """Count activations."""
    names = ("activated", "unchanged", "refused", "failed")
    return {one: served.value("micromoment_activations_total", outcome=one) for one in names}


def answers_with(served: Served, version: str) -> bool:
    """Tell whether a version answers."""
    return served.value("micromoment_bundle_info", bundle=f"shop:{version}") == 1


async def test_a_moved_pointer_is_followed(settings: Settings, store: Path) -> None:
    """What is promoted answers soon; what is activated by hand answers until the next move."""
    first, second = ((store / "shop" / one).read_text() for one in ("serving", "latest"))
    async with swapping(settings) as served:
        point_to(store, "shop", "serving", second)
        await served.until(lambda: answers_with(served, second))
        await served.activate(f"shop:{first}")
        make_tiny_store(store, seed=3)
        third = (store / "shop" / "latest").read_text()
        assert answers_with(served, first)
        point_to(store, "shop", "serving", third)
        await served.until(lambda: answers_with(served, third))
        assert outcomes(served)["activated"] == 3


async def test_a_damaged_pointer_ends_no_following(settings: Settings, store: Path) -> None:
    """What is not even text is told; the next that is put right is followed."""
    second = (store / "shop" / "latest").read_text()
    async with swapping(settings) as served:
        (store / "shop" / "serving").write_bytes(b"\xff\xfe\x00")
        await asyncio.sleep(0.5)
        point_to(store, "shop", "serving", second)
        await served.until(lambda: answers_with(served, second))


async def test_a_refused_bundle_is_not_tried_again_until_it_changes(
    settings: Settings, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is counted and logged once; mended, it answers without a new move of the pointer."""
    second = (store / "shop" / "latest").read_text()
    model = find_bundle(store, f"shop:{second}") / "conversion.txt"
    whole = model.read_bytes()
    model.write_bytes(whole[:-100])
    async with swapping(settings) as served:
        point_to(store, "shop", "serving", second)
        await served.until(lambda: outcomes(served)["refused"] == 1)
        (store / "shop" / "other").mkdir()  # a change elsewhere is none of the bundle's
        await asyncio.sleep(1.0)  # twenty looks
        assert outcomes(served)["refused"] == 1
        model.write_bytes(whole)
        await served.until(lambda: answers_with(served, second))
    assert capsys.readouterr().out.count("bundle_not_activated") == 1


async def test_a_store_that_is_gone_stops_nothing(
    settings: Settings, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server serves on from memory, says so once, and follows again when the store is back."""
    first, second = ((store / "shop" / one).read_text() for one in ("serving", "latest"))
    async with swapping(settings) as served:
        away = Path(shutil.move(store, store.with_name("away")))
        await served.until(lambda: "bundle_not_found" in capsys.readouterr().out)
        reply = await served.scoring.try_score("s1")
        assert reply is None
        assert answers_with(served, first)
        shutil.move(away, store)
        point_to(store, "shop", "serving", second)
        await served.until(lambda: answers_with(served, second))
    assert "bundle_not_found" not in capsys.readouterr().out

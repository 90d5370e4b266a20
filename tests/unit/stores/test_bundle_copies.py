"""Copies of the bundle that answers, for a start without the store."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import structlog

from micromoment.errors import BundleError
from micromoment.stores.bundle_copies import BundleCopies
from tests.support.tiny_bundle import make_tiny_store


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(original, tmp_path / "store"))


def versions(folder: Path) -> set[str]:
    """Give the versions whose copies are there."""
    return {one.name for one in folder.glob("*/shop/*") if one.is_dir()}


def test_what_was_loaded_is_loaded_without_the_store(store: Path, tmp_path: Path) -> None:
    """The copy is taken at a load, and used when the store is gone, with a warning."""
    copies = BundleCopies(tmp_path / "copies", store, "shop:latest")
    first = copies.load(lambda folder: folder)
    store.rename(tmp_path / "away")
    with structlog.testing.capture_logs() as logs:
        again = copies.load(lambda folder: folder)
    assert (first.parent.parent, again.parent.parent.parent) == (store, tmp_path / "copies")
    assert first.name == again.name
    assert [one["event"] for one in logs] == ["bundle_from_copy"]


def test_a_damaged_bundle_gives_way_to_the_copy(store: Path, tmp_path: Path) -> None:
    """What loading the store's bundle raises is the warning's reason."""
    copies = BundleCopies(tmp_path / "copies", store, "shop:latest")
    model = copies.load(lambda folder: folder) / "conversion.txt"
    model.write_bytes(b"tree")
    with structlog.testing.capture_logs() as logs:
        assert copies.load(lambda folder: folder).is_relative_to(tmp_path / "copies")
    assert "conversion.txt is damaged" in logs[0]["reason"]


def test_a_store_that_hangs_gives_way_to_the_copy(store: Path, tmp_path: Path) -> None:
    """It is waited for as long as that, and not longer."""
    copies = BundleCopies(tmp_path / "copies", store, "shop:latest", timeout_s=0.2)
    copies.load(lambda folder: folder)
    pointer = store / "shop" / "latest"
    pointer.unlink()
    os.mkfifo(pointer)
    with structlog.testing.capture_logs() as logs:
        assert copies.load(lambda folder: folder).is_relative_to(tmp_path / "copies")
    assert "does not answer" in logs[0]["reason"]


def test_without_a_copy_the_store_s_error_is_raised(tmp_path: Path) -> None:
    """Another store's copy is none, nor is one of a server that keeps none."""
    store = tmp_path / "one"
    make_tiny_store(store)
    BundleCopies(tmp_path / "copies", store, "shop:latest").load(lambda folder: folder)
    for folder, other in ((tmp_path / "copies", tmp_path / "two"), (None, tmp_path / "one")):
        shutil.rmtree(tmp_path / "one", ignore_errors=True)
        with pytest.raises(BundleError, match="isn't in the store"):
            BundleCopies(folder, other, "shop:latest").load(lambda folder: folder)


def test_copies_that_nothing_names_are_removed(store: Path, tmp_path: Path) -> None:
    """Of a store's bundles the named ones are kept; what is activated by hand is not copied."""
    copies = BundleCopies(tmp_path / "copies", store, "shop:latest")
    first = copies.load(lambda folder: folder)
    second = store / "shop" / make_tiny_store(store, seed=2).version
    copies.keep(first)
    assert versions(tmp_path / "copies") == {first.name}
    copies.keep(second)
    assert versions(tmp_path / "copies") == {second.name}


def test_a_damaged_copy_is_made_anew(store: Path, tmp_path: Path) -> None:
    """It is checked whenever it would be taken again."""
    copies = BundleCopies(tmp_path / "copies", store, "shop:latest")
    folder = copies.load(lambda folder: folder)
    (model,) = (tmp_path / "copies").rglob("conversion.txt")
    model.write_bytes(b"tree")
    copies.keep(folder)
    assert model.read_bytes() == (folder / "conversion.txt").read_bytes()


def test_a_copy_that_fails_is_told(store: Path, tmp_path: Path) -> None:
    """The server serves all the same."""
    (tmp_path / "copies").write_text("a file where the folder should be")
    copies = BundleCopies(tmp_path / "copies", store, "shop:latest")
    with structlog.testing.capture_logs() as logs:
        assert copies.load(lambda folder: folder).is_relative_to(store)
    assert [one["event"] for one in logs] == ["bundle_not_copied"]

"""Bundles in the BentoML model store."""

from datetime import date
from pathlib import Path

import pytest

from micromoment.errors import BundleError
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.golden import check_golden
from micromoment.scoring.manifest import SIGNATURES_FILE
from micromoment.stores.bundle_signatures import BundleTrust
from micromoment.stores.bundles import find_bundle
from tests.support.bundles import bundle_parts, calibration_track
from tests.support.signing import a_key
from training.publishing.revise import Revision, publish_revision
from training.publishing.store import publish


def test_a_published_bundle_is_found_loaded_and_checked(tmp_path: Path) -> None:
    """What training publishes is what a server finds under its tag and as the latest."""
    manifest = publish(bundle_parts(), tmp_path)
    for tag in (manifest.tag, "tiny:latest"):
        bundle = load_bundle(find_bundle(tmp_path, tag))
        assert bundle.tag == manifest.tag
        assert check_golden(bundle).inexact == 0


def test_the_same_content_is_published_once(tmp_path: Path) -> None:
    """A second run on the same data gives the same version, which is the latest again."""
    first = publish(bundle_parts(), tmp_path)
    other = publish(bundle_parts(training={"data": "other"}), tmp_path)
    assert find_bundle(tmp_path, "tiny:latest").name == other.version != first.version
    assert publish(bundle_parts(), tmp_path) == first
    assert find_bundle(tmp_path, "tiny:latest").name == first.version
    folders = {path.name for path in (tmp_path / "tiny").iterdir() if path.is_dir()}
    assert folders == {first.version, other.version}


def test_bentoml_itself_knows_the_bundle(tmp_path: Path) -> None:
    """The store is BentoML's own: its tools list, export and delete the bundle."""
    from bentoml._internal.models import ModelStore

    manifest = publish(bundle_parts(), tmp_path)
    (model,) = ModelStore(tmp_path).list("tiny")
    assert str(model.tag) == manifest.tag
    assert (Path(model.path) / "manifest.json").is_file()


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    """The message says where it was looked for and how one gets there."""
    with pytest.raises(BundleError, match=r"tiny:latest: isn't in the store .*micromoment train"):
        find_bundle(tmp_path, "tiny:latest")


def test_a_bundle_is_signed_as_it_is_published(tmp_path: Path) -> None:
    """By the time that a pointer names it; published again, it has the earlier signatures, too.

    A revision of it begins without any.
    """
    store, trust = tmp_path / "store", BundleTrust(tmp_path / "trusted")
    manifest = publish(bundle_parts(), store, a_key(tmp_path, "2025"))
    assert publish(bundle_parts(), store, a_key(tmp_path, "2026")) == manifest
    folder = find_bundle(store, "tiny:latest")
    assert [one.name for one in trust.signers(folder, manifest)] == ["2025", "2026"]
    assert SIGNATURES_FILE not in manifest.files
    track = calibration_track(PlattCalibrator(1.3, -0.4))
    revised = publish_revision(folder, Revision(date(2024, 5, 7), track), store)
    assert SIGNATURES_FILE not in revised.files
    assert trust.signers(find_bundle(store, revised.tag), revised) == ()

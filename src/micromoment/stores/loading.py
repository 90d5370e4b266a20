"""Loads a bundle of the store, which names its folder by its content."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from micromoment.errors import BundleError
from micromoment.scoring.bundle import LoadedBundle, check_files, load_bundle
from micromoment.scoring.manifest import Manifest, read_manifest
from micromoment.stores.bundle_signatures import BundleTrust
from micromoment.stores.bundles import tag_of

ANYBODY: Final = BundleTrust()


def load_stored_bundle(folder: Path, trust: BundleTrust = ANYBODY) -> LoadedBundle:
    """Load it. Raises `BundleError` as `load_bundle` does, and for a manifest that was changed.

    Raises `BundleUntrustedError`, before any file but the manifest is read, for one that nobody
    vouches for.
    """
    manifest = read_stored_manifest(folder)
    trust.check(folder, manifest)
    return load_bundle(folder, manifest)


def load_judged_bundle(folder: Path, digest: str) -> LoadedBundle:
    """Load a bundle whose manifest, of this digest, was judged elsewhere; raises as above."""
    manifest = read_stored_manifest(folder)
    if manifest.digest != digest:
        raise BundleError(tag_of(folder), "the manifest was changed meanwhile")
    return load_bundle(folder, manifest)


def check_stored_files(folder: Path) -> Manifest:
    """Read the manifest and compare all files with it. Raises `BundleError`; loads nothing."""
    manifest = read_stored_manifest(folder)
    check_files(folder, manifest)
    return manifest


def read_stored_manifest(folder: Path) -> Manifest:
    """Read the manifest. Raises `BundleError` when it isn't that of the folder's version."""
    manifest = read_manifest(folder)
    if manifest.tag != tag_of(folder):
        raise BundleError(
            tag_of(folder), f"the manifest is damaged: by its content it is that of {manifest.tag}"
        )
    return manifest

"""Loads a bundle of the store, which names its folder by its content."""

from __future__ import annotations

from pathlib import Path

from micromoment.errors import BundleError
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.manifest import Manifest, read_manifest
from micromoment.stores.bundles import tag_of


def load_stored_bundle(folder: Path) -> LoadedBundle:
    """Load it. Raises `BundleError` as `load_bundle` does, and for a manifest that was changed."""
    read_stored_manifest(folder)
    return load_bundle(folder)


def read_stored_manifest(folder: Path) -> Manifest:
    """Read the manifest. Raises `BundleError` when it isn't that of the folder's version."""
    manifest = read_manifest(folder)
    if manifest.tag != tag_of(folder):
        raise BundleError(
            tag_of(folder), f"the manifest is damaged: by its content it is that of {manifest.tag}"
        )
    return manifest

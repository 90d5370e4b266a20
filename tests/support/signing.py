"""Keys for bundles, and bundles signed with them."""

from __future__ import annotations

from pathlib import Path

from micromoment.scoring.manifest import Manifest
from micromoment.stores.bundle_signatures import sign_bundle
from micromoment.stores.loading import read_stored_manifest
from micromoment.stores.signing_keys import SigningKey, load_signing_key, make_key_pair


def a_key(place: Path, name: str) -> SigningKey:
    """Make a key pair: `name` in `place`, its public half in the folder `trusted` there."""
    (place / "trusted").mkdir(exist_ok=True)
    make_key_pair(place / name, place / "trusted" / f"{name}.pub")
    return load_signing_key(place / name)


def sign(folder: Path, key: SigningKey) -> Manifest:
    """Sign a bundle of a store."""
    manifest = read_stored_manifest(folder)
    sign_bundle(folder, manifest, key)
    return manifest

"""The BentoML model store: bundles go in whole, under a version that names their content."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from micromoment.errors import BundleError
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.manifest import Manifest
from micromoment.stores.bundle_signatures import (
    SignatureFile,
    read_signatures,
    sign_bundle,
    write_signatures,
)
from micromoment.stores.bundles import LATEST, default_bundle_store
from micromoment.stores.signing_keys import SigningKey
from training.outputs import make_folder
from training.publishing.bundle import BENTOML_FILE, BundleParts, write_bundle

_ABANDONED_S: Final = 3_600.0


def publish(
    parts: BundleParts, store: Path | None = None, sign_key: SigningKey | None = None
) -> Manifest:
    """Write a bundle and add it to the store as its name's latest version, signed with a key.

    `store` is the `models` folder of a BentoML home; the default is BentoML's own. Content that the
    store holds already is only made the latest again.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bundle"
        manifest = write_bundle(folder, parts)
        if sign_key is not None:
            sign_bundle(folder, manifest, sign_key)
        add_to_store(folder, manifest, store or default_bundle_store())
    return manifest


def add_to_store(folder: Path, manifest: Manifest, store: Path) -> None:
    """Add a bundle's folder to the store at `store`; what breaks off leaves no bundle there.

    Readers see the bundle whole or not at all, and `latest` as it was or naming it, at any time.
    """
    place = store / manifest.name / manifest.version
    if place.is_dir() and not _is_whole(place):
        shutil.rmtree(place)  # somebody else damaged it
    if not place.is_dir():
        make_folder(place.parent)
        _remove_unfinished(place.parent)
        unfinished = place.with_name(f".{manifest.version}.{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            _copy(folder, manifest, unfinished)
            unfinished.rename(place)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_path(place.parent)
    else:
        _add_signatures(folder, manifest, place)
    point_to(store, manifest.name, LATEST, manifest.version)


def _add_signatures(folder: Path, manifest: Manifest, place: Path) -> None:
    """Let what the store holds already have the signatures of what was to be added, too."""
    added = read_signatures(folder, manifest).signatures
    if added:
        keys = {one.key for one in added}
        before = read_signatures(place, manifest).signatures
        kept = tuple(one for one in before if one.key not in keys)
        write_signatures(place, SignatureFile(signatures=(*kept, *added)))


def _copy(folder: Path, manifest: Manifest, unfinished: Path) -> None:
    """Let BentoML describe the bundle, in a store of its own, and bring the result to the disk.

    In the real store BentoML would write file by file, and empty `latest` before it fills it.
    """
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    import bentoml  # noqa: PLC0415 - takes a second and makes folders on import
    from bentoml._internal.models import ModelStore  # noqa: PLC0415 - names a store in a call

    with TemporaryDirectory() as temporary:
        with bentoml.models.create(
            manifest.tag,
            _model_store=ModelStore(temporary),
            metadata={"format": manifest.format},
        ) as model:
            shutil.copytree(folder, model.path, dirs_exist_ok=True)
        shutil.copytree(Path(temporary) / manifest.name / manifest.version, unfinished)
    for path in (unfinished, *unfinished.rglob("*")):
        sync_path(path)


def _remove_unfinished(folder: Path) -> None:
    """Remove what a run that was killed left there; a run that goes on is younger."""
    for path in folder.glob(".*"):
        if path.stat().st_mtime < time.time() - _ABANDONED_S:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _is_whole(folder: Path) -> bool:
    try:
        load_bundle(folder)
    except BundleError:
        return False
    return (folder / BENTOML_FILE).is_file()


def point_to(store: Path, name: str, pointer: str, version: str) -> None:
    """Let a pointer of the store, `latest` or `serving`, name a version; it outlives a crash.

    Readers see the version before or this one, at any time.
    """
    folder = store / name
    unfinished = folder / f".{pointer}.{os.getpid()}"
    with unfinished.open("w", encoding="utf-8") as file:
        file.write(version)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / pointer)
    sync_path(folder)


def sync_path(folder: Path) -> None:
    """Bring a folder's list of names, or a file, to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Bundles that are worse than another in one known way; golden answers are their own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from micromoment.scoring.manifest import Manifest, read_manifest
from training.publishing.bundle import BENTOML_FILE, finish_bundle
from training.publishing.store import add_to_store


def _publish(source: Path, store: Path, manifest: Manifest, text: str | None = None) -> Manifest:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bundle"
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(BENTOML_FILE))
        if text is not None:
            (folder / "conversion.txt").write_text(text, encoding="utf-8")
        finished = finish_bundle(folder, manifest)
        add_to_store(folder, finished, store)
    return finished


def with_shuffled_features(source: Path, store: Path) -> Manifest:
    """Its trees get each feature's value for another one's: the order of scores is lost."""
    manifest = read_manifest(source)
    conversion = manifest.conversion
    assert conversion is not None
    mixed = conversion.model_copy(update={"features": tuple(reversed(conversion.features))})
    return _publish(source, store, manifest.model_copy(update={"conversion": mixed}))


def with_level(source: Path, store: Path, by: float) -> Manifest:
    """Its probabilities are off by so many log-odds."""
    manifest = read_manifest(source)
    conversion = manifest.conversion
    assert conversion is not None
    levels = {name: getattr(conversion, name) + by for name in ("intercept", "deep_intercept")}
    off = conversion.model_copy(update=levels)
    return _publish(source, store, manifest.model_copy(update={"conversion": off}))


def with_other_training(source: Path, store: Path, **training: object) -> Manifest:
    """The same in everything but its record: another version."""
    manifest = read_manifest(source)
    changed = {"training": manifest.training | training}
    return _publish(source, store, manifest.model_copy(update=changed))


def with_halved_leaves(source: Path, store: Path) -> Manifest:
    """Its trees say half as much: another model, with the same order of nearly all scores."""
    manifest = read_manifest(source)
    text = (source / "conversion.txt").read_text(encoding="utf-8")

    def halved(line: re.Match[str]) -> str:
        return "leaf_value=" + " ".join(repr(float(one) / 2) for one in line[1].split())

    # LightGBM's sizes of trees let it read them side by side; without them it reads on.
    text = re.sub(r"^leaf_value=(.*)$", halved, text, flags=re.MULTILINE)
    text = re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE)
    return _publish(source, store, manifest, text)

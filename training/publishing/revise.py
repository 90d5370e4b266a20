"""Publish a bundle anew with parts renewed from later days: calibration, tables. Models stay."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from micromoment.features.tables import Tables, tables_to_arrays
from micromoment.scoring.manifest import SIGNATURES_FILE, Manifest, read_manifest
from micromoment.stores.bundles import default_bundle_store
from training.models.calibration_track import CalibrationTrack
from training.publishing.bundle import (
    BENTOML_FILE,
    CALIBRATION_FILE,
    calibrator_fields,
    finish_bundle,
)
from training.publishing.store import add_to_store


@dataclass(frozen=True)
class Revision:
    """What is new, and the last day, included, whose outcomes it knows; None stays as it is.

    `erasures` tells which erasures the data of it had seen, as `erasures_seen` does.
    """

    until: date
    calibration: CalibrationTrack | None = None
    tables: Tables | None = None
    erasures: dict[str, Any] | None = None


def publish_revision(source: Path, revision: Revision, store: Path | None = None) -> Manifest:
    """Add the bundle in `source`, revised, to the store as its name's latest version.

    The manifest's training record keeps where it came from: `revision_of`, the version that was
    trained, and up to which day each part knows outcomes. `erasures` stays what models learned
    without; what the later days had seen is `revision_erasures`.
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "bundle"
        manifest = write_revision(source, folder, revision)
        add_to_store(folder, manifest, store or default_bundle_store())
    return manifest


def write_revision(source: Path, folder: Path, revision: Revision) -> Manifest:
    """Write the revised bundle into a new folder and give its manifest."""
    manifest = read_manifest(source)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(BENTOML_FILE, SIGNATURES_FILE))
    training = dict(manifest.training)
    training.setdefault("revision_of", manifest.version)
    changes: dict[str, Any] = {"training": training}
    if revision.calibration is not None and manifest.conversion is not None:
        text = json.dumps(revision.calibration.to_dict(), sort_keys=True, indent=1)
        (folder / CALIBRATION_FILE).write_text(text + "\n", encoding="utf-8")
        fields = calibrator_fields(revision.calibration)
        changes["conversion"] = manifest.conversion.model_copy(update=fields)
        training["calibrated_until"] = revision.until.isoformat()
    if revision.tables is not None:
        for name, array in tables_to_arrays(revision.tables).items():
            np.save(folder / manifest.tables[name], array, allow_pickle=False)
        training["tables_until"] = revision.until.isoformat()
    if revision.erasures is not None:
        training["revision_erasures"] = revision.erasures
    return finish_bundle(folder, manifest.model_copy(update=changes))

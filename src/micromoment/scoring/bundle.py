"""A bundle as the scorer uses it: checked files, loaded model, tables.

Every file's size and digest is compared with the manifest before anything parses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.errors import BundleError
from micromoment.events.record import RecordArray
from micromoment.events.shop import Shop
from micromoment.features.catalogue import FEATURE_NAMES, fingerprints, vector_fingerprint
from micromoment.features.tables import Tables, tables_from_arrays
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.lightgbm_model import LightGbmModel
from micromoment.scoring.manifest import Manifest, digest_file, read_manifest

_US_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ConversionModel:
    """The conversion model with its calibrator."""

    trees: LightGbmModel
    calibrator: PlattCalibrator
    calibration_error: dict[int, float]

    def probability(self, row: npt.NDArray[np.float32]) -> float:
        """Give the calibrated probability of one row, shape (n_features,)."""
        return self.calibrator.probability(self.trees.raw_score(row))

    def error_at(self, events_seen: int) -> float | None:
        """Give the calibration error measured at the nearest smaller number of events."""
        known = [k for k in self.calibration_error if k <= events_seen]
        return self.calibration_error[max(known)] if known else None


@dataclass(frozen=True, slots=True)
class LoadedBundle:
    """A bundle in memory. `feature_index` picks the models' input out of the full vector."""

    path: Path
    manifest: Manifest
    tag: str
    shop: Shop
    tables: Tables
    feature_names: tuple[str, ...]
    feature_index: npt.NDArray[np.intp]
    fingerprint: str
    conversion: ConversionModel | None

    @property
    def session_expiry_us(self) -> int:
        """Gap in microseconds that ends a visit."""
        return self.manifest.session_expiry_s * _US_PER_SECOND

    @property
    def max_clock_skew_us(self) -> int:
        """How far an event may run ahead of its arrival, in microseconds."""
        return self.manifest.max_clock_skew_s * _US_PER_SECOND

    def model_input(self, features: RecordArray) -> npt.NDArray[np.float32]:
        """Pick the models' input out of `FEATURES` records, shape (n,), as (n, n_features)."""
        full = features.view(np.float32).reshape(len(features), len(FEATURE_NAMES))
        return full[:, self.feature_index]


def load_bundle(folder: Path) -> LoadedBundle:
    """Load a bundle from its folder. Raises `BundleError` saying what is missing or damaged."""
    manifest = read_manifest(folder)
    _check_files(folder, manifest)
    names = _known_features(manifest)
    return LoadedBundle(
        path=folder,
        manifest=manifest,
        tag=manifest.tag,
        shop=Shop(manifest.shop.currency, manifest.shop.time_zone),
        tables=_load_tables(folder, manifest),
        feature_names=names,
        feature_index=np.array([FEATURE_NAMES.index(name) for name in names], dtype=np.intp),
        fingerprint=vector_fingerprint(names),
        conversion=_load_conversion(folder, manifest),
    )


def _check_files(folder: Path, manifest: Manifest) -> None:
    used = [*manifest.tables.values()]
    if manifest.conversion is not None:
        used.append(manifest.conversion.file)
    for name in used:
        if name not in manifest.files:
            raise BundleError(manifest.tag, f"{name} is used but not listed among the files")
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(manifest.tag, f"{name} is missing")
        if path.stat().st_size != expected.size or digest_file(path) != expected:
            raise BundleError(manifest.tag, f"{name} is damaged: size or SHA-256 differ")


def _known_features(manifest: Manifest) -> tuple[str, ...]:
    known = fingerprints()
    for feature in manifest.features:
        if feature.name not in known:
            raise BundleError(manifest.tag, f"feature {feature.name} is unknown to this version")
        if known[feature.name] != feature.fingerprint:
            raise BundleError(manifest.tag, f"feature {feature.name} is defined otherwise here")
    return tuple(feature.name for feature in manifest.features)


def _load_tables(folder: Path, manifest: Manifest) -> Tables:
    arrays = {}
    for name, file in manifest.tables.items():
        content = BytesIO((folder / file).read_bytes())
        arrays[name] = np.lib.format.read_array(content, allow_pickle=False)
    try:
        return tables_from_arrays(arrays)
    except ValueError as error:
        raise BundleError(manifest.tag, str(error)) from None


def _load_conversion(folder: Path, manifest: Manifest) -> ConversionModel | None:
    record = manifest.conversion
    if record is None:
        return None
    text = (folder / record.file).read_bytes()
    try:
        trees = LightGbmModel(text, len(manifest.features))
    except (ValueError, RuntimeError) as error:
        raise BundleError(manifest.tag, f"{record.file}: {error}") from None
    calibrator = PlattCalibrator(record.slope, record.intercept)
    return ConversionModel(trees, calibrator, dict(record.calibration_error))

"""A bundle as the scorer uses it: checked files, loaded model, tables.

Every file's size and digest is compared with the manifest before anything parses it, and what is
parsed are the bytes that were compared.
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
from micromoment.scoring.audiences import Audiences, load_audiences
from micromoment.scoring.calibration import DepthCalibrator, PlattCalibrator
from micromoment.scoring.clusters import Clusters, load_clusters
from micromoment.scoring.lightgbm_model import LightGbmModel
from micromoment.scoring.manifest import Manifest, ModelRecord, read_file, read_manifest
from micromoment.scoring.models import (
    ELIGIBLE_BY,
    ORDER_FEATURES,
    CalibratedModel,
    ChurnModel,
    ConversionModel,
)
from micromoment.scoring.orders import OrderModel

_US_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class LoadedBundle:
    """A bundle in memory. `feature_index` picks its features out of the full vector.

    `feature_places` tells where each is among them. A model or a file of rules that the bundle
    lacks is None; the manifest's `absent` says why.
    """

    path: Path
    manifest: Manifest
    tag: str
    shop: Shop
    tables: Tables
    feature_names: tuple[str, ...]
    feature_index: npt.NDArray[np.intp]
    feature_places: dict[str, int]
    fingerprint: str
    conversion: ConversionModel | None
    churn: ChurnModel | None
    clusters: Clusters | None
    audiences: Audiences | None

    @property
    def session_expiry_us(self) -> int:
        """Gap in microseconds that ends a visit."""
        return self.manifest.session_expiry_s * _US_PER_SECOND

    @property
    def max_clock_skew_us(self) -> int:
        """How far an event may run ahead of its arrival, in microseconds."""
        return self.manifest.max_clock_skew_s * _US_PER_SECOND

    def model_input(self, features: RecordArray) -> npt.NDArray[np.float32]:
        """Pick the bundle's features out of `FEATURES` records, shape (n,): (n, n_features)."""
        full = features.view(np.float32).reshape(len(features), len(FEATURE_NAMES))
        return full[:, self.feature_index]


def load_bundle(folder: Path, manifest: Manifest | None = None) -> LoadedBundle:
    """Load a bundle from its folder. Raises `BundleError` saying what is missing or damaged.

    A `manifest` that was read and judged before is taken in place of the folder's.
    """
    manifest = manifest or read_manifest(folder)
    check_files(folder, manifest)
    names = _known_features(manifest)
    return LoadedBundle(
        path=folder,
        manifest=manifest,
        tag=manifest.tag,
        shop=Shop(manifest.shop.currency, manifest.shop.time_zone),
        tables=_load_tables(folder, manifest),
        feature_names=names,
        feature_index=np.array([FEATURE_NAMES.index(name) for name in names], dtype=np.intp),
        feature_places={name: place for place, name in enumerate(names)},
        fingerprint=vector_fingerprint(names),
        conversion=_load_conversion(folder, manifest),
        churn=_load_churn(folder, manifest),
        clusters=_load_clusters(folder, manifest, names),
        audiences=_load_audiences(folder, manifest, names),
    )


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raise `BundleError` for a file that is missing or differs from what the manifest says."""
    models = [model.file for model in (manifest.conversion, manifest.churn) if model]
    rules = [name for name in (manifest.clusters, manifest.audiences) if name]
    used = [*manifest.tables.values(), *models, *rules]
    for name in used:
        if name not in manifest.files:
            raise BundleError(manifest.tag, f"{name} is used but not listed among the files")
    for name in manifest.files:
        read_file(folder, manifest, name)


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
        content = BytesIO(read_file(folder, manifest, file))
        arrays[name] = np.lib.format.read_array(content, allow_pickle=False)
    try:
        return tables_from_arrays(arrays)
    except ValueError as error:
        raise BundleError(manifest.tag, str(error)) from None


def _load_clusters(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> Clusters | None:
    file = manifest.clusters
    if file is None:
        return None
    return load_clusters(file, read_file(folder, manifest, file), names, manifest.tag)


def _load_audiences(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> Audiences | None:
    file = manifest.audiences
    if file is None:
        return None
    return load_audiences(file, read_file(folder, manifest, file), names, manifest.tag)


def _load_conversion(folder: Path, manifest: Manifest) -> ConversionModel | None:
    record = manifest.conversion
    if record is None:
        return None
    model = _load_model(folder, manifest, record)
    deep = PlattCalibrator(record.deep_slope, record.deep_intercept)
    return ConversionModel(
        trees=model.trees,
        calibrator=DepthCalibrator(model.calibrator, deep),
        feature_names=model.feature_names,
        index=model.index,
        calibration_error=dict(record.calibration_error),
    )


def _load_churn(folder: Path, manifest: Manifest) -> ChurnModel | None:
    record = manifest.churn
    if record is None:
        return None
    names = [feature.name for feature in manifest.features]
    eligible = ELIGIBLE_BY[record.target]
    for name in (eligible, *(ORDER_FEATURES if record.orders else ())):
        if name not in names:
            raise BundleError(manifest.tag, f"churn of {record.target} needs the feature {name}")
    return ChurnModel(
        model=_load_model(folder, manifest, record),
        target=record.target,
        horizon_days=record.horizon_days,
        eligible_at=names.index(eligible),
        orders=OrderModel(record.orders, record.horizon_days) if record.orders else None,
        order_places=tuple(names.index(name) for name in ORDER_FEATURES) if record.orders else (),
    )


def _load_model(folder: Path, manifest: Manifest, record: ModelRecord) -> CalibratedModel:
    names = [feature.name for feature in manifest.features]
    missing = [name for name in record.features if name not in names]
    if missing:
        raise BundleError(manifest.tag, f"{record.file} needs the feature {missing[0]}")
    text = read_file(folder, manifest, record.file)
    try:
        trees = LightGbmModel(text, len(record.features))
    except (ValueError, RuntimeError) as error:
        raise BundleError(manifest.tag, f"{record.file}: {error}") from None
    index = np.array([names.index(name) for name in record.features], dtype=np.intp)
    calibrator = PlattCalibrator(record.slope, record.intercept)
    return CalibratedModel(trees, calibrator, record.features, index)

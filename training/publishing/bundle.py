"""Write a bundle: files, digests, golden sessions, manifest; its version names its content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.features.catalogue import fingerprints
from micromoment.features.tables import Tables, tables_to_arrays
from micromoment.scoring.audiences import AudienceFile
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.clusters import ClusterFile
from micromoment.scoring.golden import EVENTS_FILE, EXPECTED_FILE, USERS_FILE, score_golden
from micromoment.scoring.manifest import (
    FORMAT,
    MANIFEST_FILE,
    SIGNATURES_FILE,
    ChurnRecord,
    ChurnTarget,
    ConversionRecord,
    FeatureRecord,
    LifecycleRecord,
    Manifest,
    OrdersRecord,
    ShopRecord,
    digest_file,
    write_manifest,
)
from training.churn.baselines import ChurnBaselines, baselines_from_dict
from training.drift import TrainingHistograms
from training.models.baseline import LogisticBaseline
from training.models.calibration_track import CalibrationTrack, track_from_dict
from training.publishing.nameless import nameless
from training.replay.run import ReplaySettings
from training.segments.portraits import PORTRAITS_FILE, Portrait, write_portraits

CONVERSION_FILE: Final = "conversion.txt"
CHURN_FILE: Final = "churn.txt"
CLUSTERS_FILE: Final = "clusters.json"
AUDIENCES_FILE: Final = "audiences.json"
METRICS_FILE: Final = "metrics.json"
BENTOML_FILE: Final = "model.yaml"  # the store's own
# For evaluation and recalibration; no server reads them.
BASELINE_FILE: Final = "baseline.json"
CALIBRATION_FILE: Final = "calibration.json"
CHURN_BASELINES_FILE: Final = "churn_baselines.json"
# What the conversion model was trained on, by quantity: drift is measured against it.
HISTOGRAMS_FILE: Final = "training_histograms.json"


@dataclass(frozen=True)
class ModelParts:
    """LightGBM's text, its calibrator, and the features that it takes, in order."""

    text: bytes
    calibrator: PlattCalibrator
    feature_names: tuple[str, ...]


@dataclass(frozen=True)
class ConversionParts:
    """The conversion model, and what it is judged by.

    `text` is LightGBM's, `feature_names` are its input in order. `calibration` is what is known as
    of the last day, `calibration_error` is by events seen.
    """

    text: bytes
    feature_names: tuple[str, ...]
    calibration: CalibrationTrack
    calibration_error: Mapping[int, float]
    baseline: LogisticBaseline


@dataclass(frozen=True)
class ChurnParts:
    """The churn model, what it predicts, and its baselines; `orders` for churn of orders alone."""

    model: ModelParts
    target: ChurnTarget
    horizon_days: int
    orders: OrdersRecord | None
    baselines: ChurnBaselines


@dataclass(frozen=True)
class BundleParts:
    """What a training run hands over to be published.

    `absent` says why there is no model for `conversion`, `churn` or `clusters`. `golden_events` has
    `EVENT_SCHEMA`; `golden_users` one row per session with `session_id`, `status` and the
    snapshot's columns. `training` states data and parameters, without any time, place or user of
    the run. `starter` marks what was made without the shop's data.
    """

    name: str
    settings: ReplaySettings
    publish_lag_s: int
    feature_names: tuple[str, ...]
    tables: Tables
    conversion: ConversionParts | None
    churn: ChurnParts | None
    clusters: ClusterFile | None
    audiences: AudienceFile | None
    lifecycle: LifecycleRecord
    absent: Mapping[str, str]
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    golden_events: pa.Table
    golden_users: pa.Table
    histograms: TrainingHistograms | None = None
    portraits: Sequence[Portrait] = ()
    starter: bool = False


def write_bundle(folder: Path, parts: BundleParts) -> Manifest:
    """Write all files of the bundle into an empty folder and give its manifest."""
    (folder / "tables").mkdir(parents=True)
    (folder / "golden").mkdir()
    tables = {}
    for name, array in tables_to_arrays(parts.tables).items():
        tables[name] = f"tables/{name}.npy"
        np.save(folder / tables[name], array, allow_pickle=False)
    if parts.conversion is not None:
        (folder / CONVERSION_FILE).write_bytes(parts.conversion.text)
        _write_json(folder / BASELINE_FILE, asdict(parts.conversion.baseline))
        _write_json(folder / CALIBRATION_FILE, parts.conversion.calibration.to_dict())
    if parts.churn is not None:
        (folder / CHURN_FILE).write_bytes(parts.churn.model.text)
        _write_json(folder / CHURN_BASELINES_FILE, parts.churn.baselines.to_dict())
    for file, content in ((CLUSTERS_FILE, parts.clusters), (AUDIENCES_FILE, parts.audiences)):
        if content is not None:
            _write_json(folder / file, content.model_dump(mode="json"))
    _write_json(folder / METRICS_FILE, dict(parts.metrics))
    if parts.histograms is not None:
        _write_json(folder / HISTOGRAMS_FILE, parts.histograms.to_dict())
    if parts.portraits:
        write_portraits(folder / PORTRAITS_FILE, parts.portraits)
    _write_table(folder / EVENTS_FILE, parts.golden_events)
    _write_table(folder / USERS_FILE, parts.golden_users)
    return finish_bundle(folder, _manifest(parts, tables))


def finish_bundle(folder: Path, manifest: Manifest) -> Manifest:
    """Write the expected answers and the manifest with all files' digests, which it gives.

    `folder` holds everything else; its golden sessions lose what names people. The answers are
    those of the bundle itself, loaded as a server loads it.
    """
    (folder / EXPECTED_FILE).unlink(missing_ok=True)
    events, users = nameless(*(pq.read_table(folder / one) for one in (EVENTS_FILE, USERS_FILE)))
    _write_table(folder / EVENTS_FILE, events)
    _write_table(folder / USERS_FILE, users)
    write_manifest(folder, _with_digests(folder, manifest))
    _write_table(folder / EXPECTED_FILE, score_golden(load_bundle(folder), events, users))
    finished = _with_digests(folder, manifest)
    write_manifest(folder, finished)
    return finished


def _with_digests(folder: Path, manifest: Manifest) -> Manifest:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {
        path.relative_to(folder).as_posix(): digest_file(path)
        for path in paths
        if path.name not in (MANIFEST_FILE, BENTOML_FILE, SIGNATURES_FILE)
    }
    return manifest.model_copy(update={"files": digests})


def _manifest(parts: BundleParts, tables: dict[str, str]) -> Manifest:
    known = fingerprints()
    shop = parts.settings.shop
    return Manifest(
        format=FORMAT,
        name=parts.name,
        starter=parts.starter,
        shop=ShopRecord(currency=shop.currency, time_zone=shop.time_zone),
        session_expiry_s=parts.settings.session_expiry_s,
        max_clock_skew_s=parts.settings.max_clock_skew_s,
        publish_lag_s=parts.publish_lag_s,
        features=tuple(
            FeatureRecord(name=name, fingerprint=known[name]) for name in parts.feature_names
        ),
        tables=tables,
        conversion=_conversion_record(parts.conversion),
        churn=_churn_record(parts.churn),
        clusters=CLUSTERS_FILE if parts.clusters else None,
        audiences=AUDIENCES_FILE if parts.audiences else None,
        lifecycle=parts.lifecycle,
        absent=dict(parts.absent),
        training=dict(parts.training),
        files={},
    )


def _conversion_record(parts: ConversionParts | None) -> ConversionRecord | None:
    if parts is None:
        return None
    return ConversionRecord(
        file=CONVERSION_FILE,
        features=parts.feature_names,
        calibration_error=dict(parts.calibration_error),
        **calibrator_fields(parts.calibration),
    )


def calibrator_fields(calibration: CalibrationTrack) -> dict[str, float]:
    """Give the fields of a conversion record that hold its calibrator."""
    calibrator = calibration.calibrator
    return {
        "slope": calibrator.first.slope,
        "intercept": calibrator.first.intercept,
        "deep_slope": calibrator.deep.slope,
        "deep_intercept": calibrator.deep.intercept,
    }


def _churn_record(parts: ChurnParts | None) -> ChurnRecord | None:
    if parts is None:
        return None
    return ChurnRecord(
        file=CHURN_FILE,
        features=parts.model.feature_names,
        slope=parts.model.calibrator.slope,
        intercept=parts.model.calibrator.intercept,
        target=parts.target,
        horizon_days=parts.horizon_days,
        orders=parts.orders,
    )


def read_baseline(folder: Path) -> LogisticBaseline | None:
    """Read the baseline that a bundle was compared with; None without a conversion model."""
    if not (folder / BASELINE_FILE).exists():
        return None
    values = json.loads((folder / BASELINE_FILE).read_text(encoding="utf-8"))
    return LogisticBaseline(
        tuple(values["features"]), tuple(values["coefficients"]), values["intercept"]
    )


def read_calibration(folder: Path) -> CalibrationTrack | None:
    """Read what is known of the conversion model's calibration; None without one."""
    if not (folder / CALIBRATION_FILE).exists():
        return None
    text = (folder / CALIBRATION_FILE).read_text(encoding="utf-8")
    return track_from_dict(json.loads(text))


def read_churn_baselines(folder: Path) -> ChurnBaselines | None:
    """Read the baselines that a bundle's churn model is compared with; None without one."""
    if not (folder / CHURN_BASELINES_FILE).exists():
        return None
    text = (folder / CHURN_BASELINES_FILE).read_text(encoding="utf-8")
    return baselines_from_dict(json.loads(text))


def read_histograms(folder: Path) -> TrainingHistograms | None:
    """Read what the conversion model was trained on; None where the bundle doesn't say."""
    if not (folder / HISTOGRAMS_FILE).exists():
        return None
    text = (folder / HISTOGRAMS_FILE).read_text(encoding="utf-8")
    return TrainingHistograms.from_dict(json.loads(text))


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read what training measured."""
    values: dict[str, Any] = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
    return values


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, sort_keys=True, indent=1) + "\n", encoding="utf-8")


def _write_table(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd")

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
    ChurnRecord,
    ChurnTarget,
    ConversionRecord,
    FeatureRecord,
    LifecycleRecord,
    Manifest,
    ShopRecord,
    digest_file,
    write_manifest,
)
from training.churn.baselines import ChurnBaselines, baselines_from_dict
from training.drift import TrainingHistograms
from training.models.baseline import LogisticBaseline
from training.replay.run import ReplaySettings
from training.segments.portraits import PORTRAITS_FILE, Portrait, write_portraits

CONVERSION_FILE: Final = "conversion.txt"
CHURN_FILE: Final = "churn.txt"
CLUSTERS_FILE: Final = "clusters.json"
AUDIENCES_FILE: Final = "audiences.json"
METRICS_FILE: Final = "metrics.json"
# For comparison when the bundle is evaluated; no server reads them.
BASELINE_FILE: Final = "baseline.json"
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
    """The conversion model, with its calibration error by events seen and its baseline."""

    model: ModelParts
    calibration_error: Mapping[int, float]
    baseline: LogisticBaseline


@dataclass(frozen=True)
class ChurnParts:
    """The churn model, what it predicts, and its baselines."""

    model: ModelParts
    target: ChurnTarget
    horizon_days: int
    baselines: ChurnBaselines


@dataclass(frozen=True)
class BundleParts:
    """What a training run hands over to be published.

    `absent` says why there is no model for `conversion`, `churn` or `clusters`. `golden_events` has
    `EVENT_SCHEMA`; `golden_users` one row per session with `session_id`, `status` and the
    snapshot's columns. `training` states data and parameters, without any time, place or user of
    the run.
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


def write_bundle(folder: Path, parts: BundleParts) -> Manifest:
    """Write all files of the bundle into an empty folder and give its manifest."""
    (folder / "tables").mkdir(parents=True)
    (folder / "golden").mkdir()
    tables = {}
    for name, array in tables_to_arrays(parts.tables).items():
        tables[name] = f"tables/{name}.npy"
        np.save(folder / tables[name], array, allow_pickle=False)
    if parts.conversion is not None:
        (folder / CONVERSION_FILE).write_bytes(parts.conversion.model.text)
        _write_json(folder / BASELINE_FILE, asdict(parts.conversion.baseline))
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
    # The expected answers are those of the bundle itself, loaded as a server loads it.
    write_manifest(folder, _manifest(folder, parts, tables))
    unfinished = load_bundle(folder)
    answers = score_golden(unfinished, parts.golden_events, parts.golden_users)
    _write_table(folder / EXPECTED_FILE, answers)
    manifest = _manifest(folder, parts, tables)
    write_manifest(folder, manifest)
    return manifest


def _manifest(folder: Path, parts: BundleParts, tables: dict[str, str]) -> Manifest:
    known = fingerprints()
    shop = parts.settings.shop
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return Manifest(
        format=FORMAT,
        name=parts.name,
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
        files={
            path.relative_to(folder).as_posix(): digest_file(path)
            for path in files
            if path.name != "manifest.json"
        },
    )


def _conversion_record(parts: ConversionParts | None) -> ConversionRecord | None:
    if parts is None:
        return None
    return ConversionRecord(
        file=CONVERSION_FILE,
        features=parts.model.feature_names,
        slope=parts.model.calibrator.slope,
        intercept=parts.model.calibrator.intercept,
        calibration_error=dict(parts.calibration_error),
    )


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
    )


def read_baseline(folder: Path) -> LogisticBaseline | None:
    """Read the baseline that a bundle was compared with; None without a conversion model."""
    if not (folder / BASELINE_FILE).exists():
        return None
    values = json.loads((folder / BASELINE_FILE).read_text(encoding="utf-8"))
    return LogisticBaseline(
        tuple(values["features"]), tuple(values["coefficients"]), values["intercept"]
    )


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

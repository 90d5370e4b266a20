"""A small bundle, trained on made-up visits and written as training writes one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import pyarrow as pa

from micromoment.events.shop import Shop
from micromoment.events.vocabulary import EventType
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserStatus
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calibration import DepthCalibrator, PlattCalibrator
from micromoment.scoring.manifest import LifecycleRecord
from tests.support.events import DAY, START_US, to_batch
from tests.support.folding import random_tables, replay
from tests.support.visits import in_order_of_sessions, made_up_visits
from training.models.baseline import BASELINE_FEATURES, LogisticBaseline
from training.models.calibration_track import CalibrationTrack
from training.publishing.bundle import BundleParts, ConversionParts
from training.replay.run import ReplaySettings

TABLES: Final = random_tables()
CALIBRATOR: Final = PlattCalibrator(0.9, -0.1)


@cache
def made_up_rows() -> tuple[np.ndarray, np.ndarray]:
    """Give vectors (n, features) of made-up visits, and whether an order is among their events."""
    events = made_up_visits(400, seed=3)
    names = sorted({event.session_id for event in events})
    session_of = [names.index(event.session_id) for event in events]
    _, features = replay(to_batch(events), session_of, tables=TABLES)
    rows = features.view(np.float32).reshape(len(events), len(FEATURE_NAMES))
    buyers = {event.session_id for event in events if event.type is EventType.PURCHASE}
    return rows, np.array([event.session_id in buyers for event in events])


@cache
def tiny_model(feature_names: tuple[str, ...] = FEATURE_NAMES, trees: int = 40) -> bytes:
    """Train a LightGBM model on some of the features; gives its text."""
    rows, labels = made_up_rows()
    own = [FEATURE_NAMES.index(name) for name in feature_names]
    parameters = {
        "objective": "binary",
        "num_leaves": 15,
        "min_data_in_leaf": 10,
        "verbose": -1,
        "num_threads": 1,
        "deterministic": True,
        "seed": 1,
    }
    booster = lgb.train(parameters, lgb.Dataset(rows[:, own], labels), num_boost_round=trees)
    return booster.model_to_string().encode()


def tiny_conversion(
    names: tuple[str, ...] = FEATURE_NAMES,
    trees: int = 40,
    calibrator: PlattCalibrator = CALIBRATOR,
) -> ConversionParts:
    """Make a conversion model on the named features."""
    return ConversionParts(
        text=tiny_model(names, trees),
        feature_names=names,
        calibration=calibration_track(calibrator),
        calibration_error={1: 0.01, 5: 0.02, 20: 0.04},
        baseline=LogisticBaseline(BASELINE_FEATURES, (0.1,) * len(BASELINE_FEATURES), -2.0),
    )


def calibration_track(calibrator: PlattCalibrator) -> CalibrationTrack:
    """Give a calibration that is the same at each depth, and known well."""
    spread = tuple(map(tuple, np.diag([0.01] * 4).tolist()))
    return CalibrationTrack(
        center=0.0, mean=(calibrator.intercept, calibrator.slope, 0.0, 0.0), covariance=spread
    )


def bundle_parts(**changes: Any) -> BundleParts:  # noqa: ANN401 - fields of several types
    """Make what `write_bundle` takes; `changes` replace single parts."""
    names = changes.get("feature_names", FEATURE_NAMES)
    golden = made_up_visits(6, seed=5)
    parts: dict[str, Any] = {
        "name": "tiny",
        "settings": ReplaySettings(Shop("EUR", "Europe/Berlin")),
        "publish_lag_s": 3_600,
        "feature_names": names,
        "tables": TABLES,
        "conversion": tiny_conversion(names),
        "churn": None,
        "clusters": None,
        "audiences": None,
        "lifecycle": LifecycleRecord(),
        "absent": {"churn": "too few customers", "clusters": "too few visits"},
        "metrics": {"n": 1},
        "training": {"data": "made-up visits"},
        "golden_events": in_order_of_sessions(golden),
        "golden_users": golden_users(sorted({event.session_id for event in golden})),
    }
    return BundleParts(**(parts | changes))


def recalibrated(bundle: LoadedBundle, calibrator: PlattCalibrator) -> LoadedBundle:
    """Give the bundle with another calibrator of its conversion model."""
    conversion = bundle.conversion
    assert conversion is not None
    both = DepthCalibrator(calibrator, calibrator)
    return replace(bundle, conversion=replace(conversion, calibrator=both))


def golden_users(session_ids: list[str]) -> pa.Table:
    """Give each session a user row; every other visitor is unknown."""
    rows = []
    for place, session_id in enumerate(session_ids):
        columns = dict.fromkeys(USER_SNAPSHOT.names or (), 0)
        known = place % 2 == 0
        if known:
            columns |= {"snapshot_time": START_US - DAY, "first_seen": START_US - 9 * DAY,
                        "last_seen": START_US - 2 * DAY, "sessions": 3}  # fmt: skip
        status = UserStatus.FOUND if known else UserStatus.UNKNOWN
        rows.append({"session_id": session_id, "status": int(status), **columns})
    return pa.Table.from_pylist(rows)

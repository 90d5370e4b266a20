"""A small bundle made in a second: real files, a real model, learnt from random numbers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.schema import EVENT_SCHEMA
from micromoment.features.catalogue import FEATURE_NAMES, fingerprints
from micromoment.features.tables import neutral_tables, tables_to_arrays
from micromoment.features.user_snapshot import USER_SNAPSHOT, UserStatus
from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.golden import EVENTS_FILE, EXPECTED_FILE, USERS_FILE, score_golden
from micromoment.scoring.manifest import (
    FORMAT,
    ConversionRecord,
    FeatureRecord,
    FileDigest,
    LifecycleRecord,
    Manifest,
    ShopRecord,
    digest_file,
    write_manifest,
)

TYPES = ("page_view", "item_view", "cart_add", "checkout_start")


def make_tiny_store(
    folder: Path,
    name: str = "shop",
    *,
    seed: int = 1,
    **changes: Any,  # noqa: ANN401 - fields of several types
) -> Manifest:
    """Add a bundle to `folder`, laid out as a BentoML model store, as the latest of its name.

    Another `seed` makes another model; `changes` are of the manifest.
    """
    draft = folder / name / "draft"
    for part in ("tables", "golden"):
        (draft / part).mkdir(parents=True)
    (draft / "conversion.txt").write_bytes(_model(seed))
    tables = tables_to_arrays(neutral_tables())
    for table, array in tables.items():
        np.save(draft / f"tables/{table}.npy", array, allow_pickle=False)
    events, users = _golden_events(), _golden_users()
    pq.write_table(events, draft / EVENTS_FILE)
    pq.write_table(users, draft / USERS_FILE)
    write_manifest(draft, _manifest(draft, name, tables).model_copy(update=changes))
    pq.write_table(score_golden(load_bundle(draft), events, users), draft / EXPECTED_FILE)
    manifest = _manifest(draft, name, tables).model_copy(update=changes)
    write_manifest(draft, manifest)
    draft.rename(draft.with_name(manifest.version))
    (folder / name / "latest").write_text(manifest.version, encoding="utf-8")
    return manifest


def _manifest(folder: Path, name: str, tables: Iterable[str]) -> Manifest:
    known = fingerprints()
    return Manifest(
        format=FORMAT,
        name=name,
        shop=ShopRecord(currency="EUR", time_zone="Europe/Berlin"),
        session_expiry_s=1_800,
        max_clock_skew_s=300,
        publish_lag_s=3_600,
        features=tuple(FeatureRecord(name=n, fingerprint=known[n]) for n in FEATURE_NAMES),
        tables={table: f"tables/{table}.npy" for table in tables},
        conversion=ConversionRecord(
            file="conversion.txt",
            features=FEATURE_NAMES,
            slope=1.0,
            intercept=0.0,
            deep_slope=1.0,
            deep_intercept=0.0,
            calibration_error={1: 0.01, 5: 0.02},
        ),
        churn=None,
        clusters=None,
        audiences=None,
        lifecycle=LifecycleRecord(),
        absent={},
        training={"data": "random numbers"},
        files=_digests(folder),
    )


def _digests(folder: Path) -> dict[str, FileDigest]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        path.relative_to(folder).as_posix(): digest_file(path)
        for path in files
        if path.name != "manifest.json"
    }


@cache
def _model(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    features = random.normal(size=(2_000, len(FEATURE_NAMES))).astype(np.float32)
    labels = (features[:, :5].sum(axis=1) + random.normal(size=2_000) > 0).astype(int)
    parameters = {"objective": "binary", "num_leaves": 31, "verbose": -1, "num_threads": 1}
    booster = lgb.train(parameters, lgb.Dataset(features, labels), num_boost_round=100)
    return booster.model_to_string().encode()


def _golden_events() -> pa.Table:
    start = datetime(2024, 5, 1, 10, tzinfo=UTC)
    rows = [
        {
            "event_id": f"e{place}",
            "type": kind,
            "event_time": start + timedelta(seconds=20 * place),
            "session_id": "golden",
            "source_seq": place + 1,
            "anonymous_id": "visitor",
            "items": [{"item_id": "sku", "price_micros": 10_000_000, "quantity": 1}],
        }
        for place, kind in enumerate(TYPES)
    ]
    return pa.Table.from_pylist(rows, EVENT_SCHEMA)


def _golden_users() -> pa.Table:
    user = {"session_id": "golden", "status": int(UserStatus.UNKNOWN)}
    return pa.Table.from_pylist([user | dict.fromkeys(USER_SNAPSHOT.names or (), 0)])

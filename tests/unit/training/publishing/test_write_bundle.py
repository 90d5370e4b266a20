"""Writing a bundle: its version names its content."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.golden import check_golden
from micromoment.scoring.manifest import MANIFEST_FILE, LifecycleRecord, digest_file, read_manifest
from tests.support.bundles import bundle_parts, tiny_conversion
from tests.support.folding import random_tables
from tests.support.visits import in_order_of_sessions, made_up_visits
from training.drift import histograms_of
from training.publishing.bundle import (
    HISTOGRAMS_FILE,
    read_baseline,
    read_histograms,
    write_bundle,
)

HISTOGRAMS = histograms_of(np.arange(9, dtype=np.float32)[:, np.newaxis], ("n_events",), np.ones(4))


def files_of(folder: Path) -> dict[str, bytes]:
    """Read all files by name."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_two_writings_are_alike(tmp_path: Path) -> None:
    """The same parts give the same version and the same bytes in every file."""
    first = write_bundle(tmp_path / "a", bundle_parts())
    second = write_bundle(tmp_path / "b", bundle_parts())
    assert first.version == second.version
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"conversion": tiny_conversion(trees=39)},
        {"tables": random_tables(seed=8)},
        {"conversion": tiny_conversion(calibrator=PlattCalibrator(0.9, -0.2))},
        {"conversion": replace(tiny_conversion(), calibration_error={1: 0.011})},
        {"absent": {"churn": "another reason"}},
        {"lifecycle": LifecycleRecord(new_days=8)},
        {"metrics": {"n": 2}},
        {"training": {"data": "others"}},
        {"publish_lag_s": 0},
        {"histograms": HISTOGRAMS},
        {"golden_events": in_order_of_sessions(made_up_visits(5, seed=5))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_changes_the_version(
    tmp_path: Path, tiny_bundle: LoadedBundle, change: dict[str, Any]
) -> None:
    """Each part of a bundle is part of its version."""
    manifest = write_bundle(tmp_path / "bundle", bundle_parts(**change))
    assert manifest.version != tiny_bundle.manifest.version


def test_every_file_is_listed(tmp_path: Path) -> None:
    """The manifest has size and digest of each file but itself, and no other."""
    manifest = write_bundle(tmp_path / "bundle", bundle_parts())
    names = set(files_of(tmp_path / "bundle")) - {MANIFEST_FILE}
    assert set(manifest.files) == names
    for name, digest in manifest.files.items():
        assert digest_file(tmp_path / "bundle" / name) == digest
    assert read_manifest(tmp_path / "bundle") == manifest


def test_what_is_written_passes_the_server_s_check(tmp_path: Path) -> None:
    """A bundle loads, answers its own golden sessions, and holds no pickle."""
    write_bundle(tmp_path / "bundle", bundle_parts())
    assert check_golden(load_bundle(tmp_path / "bundle")).inexact == 0
    assert {Path(name).suffix for name in files_of(tmp_path / "bundle")} <= {
        ".json", ".txt", ".npy", ".parquet",
    }  # fmt: skip


def test_no_time_or_place_in_it(tmp_path: Path) -> None:
    """No file of a bundle tells where or for whom it was made."""
    write_bundle(tmp_path / "bundle", bundle_parts())
    for name, content in files_of(tmp_path / "bundle").items():
        assert str(tmp_path).encode() not in content, name
        assert str(Path.home()).encode() + b"/" not in content, name


def test_the_baseline_is_kept(tmp_path: Path) -> None:
    """The baseline that training compared with is read back as it was."""
    parts = bundle_parts()
    write_bundle(tmp_path / "bundle", parts)
    assert parts.conversion is not None
    assert read_baseline(tmp_path / "bundle") == parts.conversion.baseline


def test_the_histograms_come_back(tmp_path: Path, tiny_bundle: LoadedBundle) -> None:
    """What the model was trained on is in the bundle, exactly; None where it is not."""
    manifest = write_bundle(tmp_path / "bundle", bundle_parts(histograms=HISTOGRAMS))
    assert HISTOGRAMS_FILE in manifest.files
    assert read_histograms(tmp_path / "bundle") == HISTOGRAMS
    assert read_histograms(tiny_bundle.path) is None


def test_an_unknown_feature_is_an_error(tmp_path: Path) -> None:
    """A model on a feature that the catalogue doesn't have can't be published."""
    parts = bundle_parts()
    names = ("mood", *FEATURE_NAMES[1:])
    with pytest.raises(KeyError, match="mood"):
        write_bundle(tmp_path / "bundle", type(parts)(**{**vars(parts), "feature_names": names}))

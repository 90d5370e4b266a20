"""A bundle anew with other calibration or tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from micromoment.features.tables import tables_to_arrays
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.golden import check_golden
from micromoment.scoring.manifest import MANIFEST_FILE
from tests.support.bundles import bundle_parts, calibration_track
from tests.support.folding import random_tables
from training.publishing.bundle import read_calibration, write_bundle
from training.publishing.revise import Revision, publish_revision, write_revision

DAY = date(2024, 5, 7)
TRACK = calibration_track(PlattCalibrator(1.3, -0.4))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A bundle's folder, trained until some day."""
    write_bundle(tmp_path / "source", bundle_parts(training={"last_day": "2024-05-01"}))
    return tmp_path / "source"


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Read all files by name."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def revised(source: Path, revision: Revision) -> LoadedBundle:
    """Write a revision and load it; its golden sessions must fit."""
    folder = source.parent / "revised"
    manifest = write_revision(source, folder, revision)
    bundle = load_bundle(folder)
    assert bundle.manifest == manifest
    assert check_golden(bundle).inexact == 0
    return bundle


def test_another_calibration_changes_nothing_else(source: Path) -> None:
    """The map is the track's, the track is kept, and trees and tables are the same bytes."""
    before = bytes_of(source)
    bundle = revised(source, Revision(DAY, TRACK))
    assert bundle.conversion is not None
    assert bundle.conversion.calibrator == TRACK.calibrator
    assert read_calibration(bundle.path) == TRACK
    after = bytes_of(bundle.path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {MANIFEST_FILE, "calibration.json", "golden/expected.parquet"}
    assert bytes_of(source) == before


def test_tables_are_renewed(source: Path) -> None:
    """New tables are served in place of the old ones; the calibration stays."""
    tables = random_tables(seed=9)
    bundle = revised(source, Revision(DAY, tables=tables))
    for name, array in tables_to_arrays(tables).items():
        assert np.array_equal(tables_to_arrays(bundle.tables)[name], array), name
    assert read_calibration(bundle.path) == read_calibration(source)


def test_it_says_where_it_came_from(source: Path) -> None:
    """The trained version is named through any number of revisions, and what knows which days."""
    trained = load_bundle(source).manifest.version
    once = revised(source, Revision(DAY, TRACK)).manifest
    assert once.training["revision_of"] == trained
    assert once.training["calibrated_until"] == "2024-05-07"
    assert "tables_until" not in once.training
    folder = source.parent / "twice"
    later = Revision(date(2024, 5, 8), replace(TRACK, center=0.1), random_tables(seed=9))
    twice = write_revision(source.parent / "revised", folder, later)
    assert twice.training["revision_of"] == trained
    assert twice.training["tables_until"] == twice.training["calibrated_until"] == "2024-05-08"
    assert len({trained, once.version, twice.version}) == 3


def test_it_says_which_erasures_its_data_had_seen(source: Path) -> None:
    """Beside those that the models learned without, which stay as they are."""
    seen = {"people": 2, "last": "2024-05-07T00:00:00+00:00", "digest": "abc"}
    once = revised(source, Revision(DAY, TRACK, erasures=seen)).manifest
    assert once.training["revision_erasures"] == seen
    assert "erasures" not in once.training
    assert "revision_erasures" not in load_bundle(source).manifest.training


def test_the_same_revision_has_the_same_version(source: Path, tmp_path: Path) -> None:
    """Publishing twice leaves one bundle, which is the latest."""
    store = tmp_path / "store"
    first, second = (publish_revision(source, Revision(DAY, TRACK), store) for _ in range(2))
    assert first.version == second.version
    versions = [path.name for path in (store / first.name).iterdir() if path.is_dir()]
    assert versions == [first.version]
    assert (store / first.name / "latest").read_text(encoding="utf-8") == first.version

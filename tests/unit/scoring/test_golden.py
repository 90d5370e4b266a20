"""Golden sessions: a server proves its arithmetic before it serves."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from micromoment.errors import BundleError
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.golden import EVENTS_FILE, EXPECTED_FILE, USERS_FILE, check_golden
from micromoment.scoring.manifest import digest_file, read_manifest, write_manifest
from tests.support.bundles import bundle_parts, recalibrated
from tests.support.events import MINUTE, an_event, to_table
from training.publishing.bundle import write_bundle


@pytest.fixture
def folder(tiny_bundle: LoadedBundle, tmp_path: Path) -> Path:
    """A copy of the tiny bundle, to be falsified."""
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))


def falsify(folder: Path, name: str, table: pa.Table) -> LoadedBundle:
    """Replace a file together with its digest, as a careful forger would."""
    pq.write_table(table, folder / name)
    manifest = read_manifest(folder)
    files = manifest.files | {name: digest_file(folder / name)}
    write_manifest(folder, manifest.model_copy(update={"files": files}))
    return load_bundle(folder)


def test_a_bundle_answers_its_golden_sessions(tiny_bundle: LoadedBundle) -> None:
    """Every event of the golden sessions is compared, and each answer has the expected bits."""
    report = check_golden(tiny_bundle)
    assert report.answers == pq.read_metadata(tiny_bundle.path / EVENTS_FILE).num_rows
    assert report.answers > 20
    assert report.inexact == 0


def test_a_changed_table_is_caught(tiny_bundle: LoadedBundle) -> None:
    """One other ratio in a table shows in the feature that uses it, which is named."""
    ratios = tiny_bundle.tables.transition_llr.copy()
    ratios[0] += 0.001
    tables = tiny_bundle.tables._replace(transition_llr=ratios)
    with pytest.raises(BundleError, match=r"golden answer \d+: feature\.transition_llr differs"):
        check_golden(replace(tiny_bundle, tables=tables))


def test_a_changed_calibrator_is_caught(tiny_bundle: LoadedBundle) -> None:
    """Another calibration shows in the conversion."""
    with pytest.raises(BundleError, match="golden answer 0: conversion differs"):
        check_golden(recalibrated(tiny_bundle, PlattCalibrator(0.9, -0.10001)))


def test_a_missing_value_is_not_a_number(folder: Path) -> None:
    """A feature that is missing where a number is expected differs, and the other way round."""
    expected = pq.read_table(folder / EXPECTED_FILE)
    place = expected.column_names.index("feature.n_events")
    values = expected["feature.n_events"].to_numpy().copy()
    values[2] = np.nan
    forged = expected.set_column(place, "feature.n_events", pa.array(values))
    with pytest.raises(BundleError, match=r"golden answer 2: feature\.n_events differs"):
        check_golden(falsify(folder, EXPECTED_FILE, forged))


def test_a_difference_within_tolerance_is_counted(folder: Path) -> None:
    """Another machine may differ by 1e-9: that is reported, not refused."""
    expected = pq.read_table(folder / EXPECTED_FILE)
    place = expected.column_names.index("conversion")
    nudged = pc.add(expected["conversion"], 1e-12)
    report = check_golden(
        falsify(folder, EXPECTED_FILE, expected.set_column(place, "conversion", nudged))
    )
    assert report.inexact == len(expected) - expected["conversion"].null_count > 0


def test_answers_without_their_events(folder: Path) -> None:
    """Fewer answers than events, or other columns, are refused."""
    expected = pq.read_table(folder / EXPECTED_FILE)
    with pytest.raises(BundleError, match="other columns or rows"):
        check_golden(falsify(folder, EXPECTED_FILE, expected.slice(1)))
    with pytest.raises(BundleError, match="other columns or rows"):
        check_golden(falsify(folder, EXPECTED_FILE, expected.drop_columns(["conversion"])))


def test_a_session_without_its_user_row(folder: Path) -> None:
    """Golden sessions whose user row is missing are refused as a broken bundle."""
    users = pq.read_table(folder / USERS_FILE)
    bundle = falsify(folder, USERS_FILE, users.slice(1))
    with pytest.raises(BundleError, match="golden"):
        check_golden(bundle)


def test_events_that_nothing_can_decode(folder: Path) -> None:
    """Golden events that lack a column are refused as a broken bundle, with the column."""
    events = pq.read_table(folder / EVENTS_FILE).drop_columns(["device"])
    with pytest.raises(BundleError, match="device"):
        check_golden(falsify(folder, EVENTS_FILE, events))


def test_golden_sessions_are_folded_with_the_bundle_s_clock_skew(tmp_path: Path) -> None:
    """An event a minute ahead of its arrival keeps its own time, as it does in serving."""
    first = an_event(session_id="s0")
    ahead = an_event(
        event_id="e2",
        session_id="s0",
        event_time=first.event_time + MINUTE,
        received_time=first.event_time,
    )
    users = bundle_parts().golden_users.slice(0, 1)
    parts = bundle_parts(golden_events=to_table([first, ahead]), golden_users=users)
    write_bundle(tmp_path / "ahead", parts)
    expected = pq.read_table(tmp_path / "ahead" / EXPECTED_FILE)
    assert expected["feature.duration_s"].to_pylist() == [0.0, 60.0]

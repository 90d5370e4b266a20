"""Point-in-time joins through a real Feast repository."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.features.user_snapshot import SNAPSHOT_COLUMNS, USER_SNAPSHOT, UserStatus
from tests.support.feature_stores import SHOP, a_workspace, day, published, take_ups
from training.feature_store import (
    FeatureWorkspace,
    apply,
    training_parts,
    training_rows,
    user_rows_at,
)
from training.snapshots.cuts import cut_at

MICROSECOND = timedelta(microseconds=1)
FOUND, UNKNOWN = int(UserStatus.FOUND), int(UserStatus.UNKNOWN)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> FeatureWorkspace:
    """A workspace with three cuts, one for each day of visits."""
    return a_workspace(tmp_path_factory.mktemp("offline"))


def test_a_snapshot_is_taken_from_the_moment_it_is_available(workspace: FeatureWorkspace) -> None:
    """At `available_at` itself the row is there, a microsecond earlier the one before."""
    moments = [published(1) - MICROSECOND, published(1), published(2) - MICROSECOND, published(2)]
    rows, status = user_rows_at(workspace, take_ups([("a", time) for time in moments]))
    assert status.tolist() == [UNKNOWN, FOUND, FOUND, FOUND]
    assert rows["sessions"].tolist() == [0, 1, 1, 2]
    cuts = [0, *(cut_at(day(number), SHOP).time_us for number in (1, 1, 2))]
    assert rows["snapshot_time"].tolist() == cuts


def test_the_cut_alone_does_not_publish(workspace: FeatureWorkspace) -> None:
    """Between midnight and midnight plus the lag, yesterday's snapshot is the newest."""
    rows, _ = user_rows_at(workspace, take_ups([("a", published(3) - timedelta(hours=1))]))
    assert rows["sessions"].tolist() == [2]


def test_old_rows_do_not_expire(workspace: FeatureWorkspace) -> None:
    """Years later a visitor's last row is still joined."""
    _, status = user_rows_at(workspace, take_ups([("b", datetime(2031, 1, 1, tzinfo=UTC))]))
    assert status.tolist() == [FOUND]


def test_no_row_is_lost_and_order_is_kept(workspace: FeatureWorkspace) -> None:
    """Equal visitors at equal times, unknown visitors and missing ids each keep their row."""
    rows = [
        ("a", published(3)),
        ("nobody", published(3)),
        ("a", published(3)),
        (None, published(3)),
        ("a", published(1)),
        ("b", published(3)),
        ("", published(3)),
        ("c", published(3)),
        ("a", published(3)),
    ] * 50
    found, status = user_rows_at(workspace, take_ups(rows))
    assert found.dtype == USER_SNAPSHOT
    assert found["sessions"].tolist() == [3, 0, 3, 0, 1, 1, 0, 1, 3] * 50
    assert status.tolist() == [2, 1, 2, 1, 2, 2, 1, 2, 2] * 50


def test_nothing_asked_is_nothing_answered(workspace: FeatureWorkspace) -> None:
    """An empty table of take-ups gives empty arrays."""
    rows, status = user_rows_at(workspace, take_ups([]))
    assert (rows.shape, status.shape) == ((0,), (0,))


def test_without_snapshots_every_visitor_is_unknown(tmp_path: Path) -> None:
    """A workspace that no snapshot was cut for knows nobody."""
    empty = FeatureWorkspace(tmp_path)
    apply(empty)
    rows, status = user_rows_at(empty, take_ups([("a", published(3))]))
    assert status.tolist() == [UNKNOWN]
    assert rows.tolist() == np.zeros(1, USER_SNAPSHOT).tolist()


def test_workspaces_live_side_by_side(workspace: FeatureWorkspace, tmp_path: Path) -> None:
    """Two workspaces in one process each answer from their own files."""
    other = a_workspace(tmp_path, last_cut=1)
    asked = take_ups([("a", published(3))])
    assert user_rows_at(other, asked)[0]["sessions"].tolist() == [1]
    assert user_rows_at(workspace, asked)[0]["sessions"].tolist() == [3]


def decision_file(path: Path, ids: list[str], visitors: list[str], time: datetime) -> Path:
    """Write decision points whose features are their place and their place in the catalogue."""
    columns: dict[str, pa.Array] = {
        "decision_id": pa.array(ids),
        "visitor_id": pa.array(visitors),
        "feature_time": pa.array([time] * len(ids), pa.timestamp("us", tz="UTC")),
        "label": pa.array([number % 2 == 0 for number in range(len(ids))]),
    }
    for place, name in enumerate(FEATURE_NAMES):
        values = np.full(len(ids), place, np.float32)
        values[place % len(ids)] = np.nan
        columns[name] = pa.array(values)
    pq.write_table(pa.table(columns), path)
    return path


def test_decision_points_come_back_whole(workspace: FeatureWorkspace, tmp_path: Path) -> None:
    """All rows of all files return in order, features equal, NaN too, with the user's columns."""
    files = [
        decision_file(tmp_path / "x.parquet", ["d1", "d0"], ["a", "nobody"], published(2)),
        decision_file(tmp_path / "y.parquet", ["d3", "d2", "d4"], ["a", "a", "b"], published(3)),
    ]
    table = training_rows(workspace, files, ["decision_id", "label"])
    written = pa.concat_tables([pq.read_table(file) for file in files])
    assert table.column_names == [
        "decision_id",
        "label",
        *FEATURE_NAMES,
        *(column.name for column in SNAPSHOT_COLUMNS),
    ]
    assert table["decision_id"].to_pylist() == ["d1", "d0", "d3", "d2", "d4"]
    assert table["label"].to_pylist() == written["label"].to_pylist()
    for name in FEATURE_NAMES:
        assert table[name].type == pa.float32()
        assert np.array_equal(table[name].to_numpy(), written[name].to_numpy(), equal_nan=True)
    assert table["sessions"].to_pylist() == [2, None, 3, 3, 1]


def test_rows_that_are_not_asked_for_are_not_joined(
    workspace: FeatureWorkspace, tmp_path: Path
) -> None:
    """A part of which nothing is kept gives a table without rows, the others what is kept."""
    files = [
        decision_file(tmp_path / "x.parquet", ["d1", "d0"], ["a", "nobody"], published(2)),
        decision_file(tmp_path / "y.parquet", ["d3", "d2"], ["a", "b"], published(3)),
    ]
    tables = training_parts(
        workspace, files, ["decision_id"], keep=lambda table: in_list(table, ["d2"])
    )
    first, second = tables
    assert len(first) == 0
    assert set(FEATURE_NAMES) < set(first.column_names)
    assert second["decision_id"].to_pylist() == ["d2"]
    assert second["sessions"].to_pylist() == [1]


def in_list(table: pa.Table, ids: list[str]) -> npt.NDArray[np.bool_]:
    """Mark the rows with these ids."""
    return np.isin(table["decision_id"].to_pylist(), ids)


def test_a_decision_id_in_two_files_is_an_error(
    workspace: FeatureWorkspace, tmp_path: Path
) -> None:
    """Parts are joined one by one, ids are counted over all."""
    files = [
        decision_file(tmp_path / f"{name}.parquet", ["d1", name], ["a", "a"], published(2))
        for name in "xy"
    ]
    with pytest.raises(InvalidDataError, match="4 rows have 3 decision ids"):
        training_rows(workspace, files, [])


def test_decisions_replace_those_of_an_earlier_training(
    workspace: FeatureWorkspace, tmp_path: Path
) -> None:
    """After a second training the workspace holds the second one's decision points alone."""
    first = decision_file(tmp_path / "first.parquet", ["d1", "d2"], ["a", "a"], published(2))
    second = decision_file(tmp_path / "second.parquet", ["d3"], ["a"], published(2))
    training_rows(workspace, [first, second], ["decision_id"])
    table = training_rows(workspace, [second], ["decision_id"])
    assert table["decision_id"].to_pylist() == ["d3"]
    assert [path.name for path in workspace.decisions.iterdir()] == ["00000.parquet"]
    assert first.exists()


def test_a_repeated_decision_id_is_an_error(workspace: FeatureWorkspace, tmp_path: Path) -> None:
    """Two rows with one id are counted in the message."""
    file = decision_file(tmp_path / "x.parquet", ["d1", "d1", "d2"], ["a"] * 3, published(2))
    with pytest.raises(InvalidDataError, match="3 rows have 2 decision ids"):
        training_rows(workspace, [file], [])


def test_a_feature_that_is_not_there_is_named(workspace: FeatureWorkspace, tmp_path: Path) -> None:
    """A file without a session feature, or with one of another type, is refused by name."""
    file = decision_file(tmp_path / "x.parquet", ["d1"], ["a"], published(2))
    table = pq.read_table(file)
    pq.write_table(table.drop_columns([FEATURE_NAMES[3]]), file)
    with pytest.raises(InvalidDataError, match=rf"x\.parquet.*missing: {FEATURE_NAMES[3]}"):
        training_rows(workspace, [file], [])
    wide = table[FEATURE_NAMES[3]].cast(pa.float64())
    pq.write_table(table.set_column(7, FEATURE_NAMES[3], wide), file)
    with pytest.raises(InvalidDataError, match=rf"float32: {FEATURE_NAMES[3]}"):
        training_rows(workspace, [file], [])


def test_a_null_feature_counts_as_lost(workspace: FeatureWorkspace, tmp_path: Path) -> None:
    """A decision point that comes back without a feature is an error with the count."""
    file = decision_file(tmp_path / "x.parquet", ["d1", "d2"], ["a", "a"], published(2))
    table = pq.read_table(file)
    place = table.column_names.index(FEATURE_NAMES[0])
    nulls = pa.array([None, 1.0], pa.float32())
    pq.write_table(table.set_column(place, FEATURE_NAMES[0], nulls), file)
    with pytest.raises(InvalidDataError, match=f"1 of 2 .* without {FEATURE_NAMES[0]}"):
        training_rows(workspace, [file], [])


def test_feature_names_survive_feasts_join() -> None:
    """No name ends in `_y`, which Feast's join drops, and none is in both views."""
    names = [*FEATURE_NAMES, *(column.name for column in SNAPSHOT_COLUMNS)]
    assert not [name for name in names if name.endswith("_y")]
    assert len(set(names)) == len(names)

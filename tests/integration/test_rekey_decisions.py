"""Decision points come under the current key, and go when they are old."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder
from micromoment.features.catalogue import FEATURE_NAMES
from tests.support.feature_stores import a_workspace, day, published
from tests.support.keyed import BEFORE, ROTATED, UNLINKED, encoder
from training.feature_store import FeatureWorkspace, training_rows
from training.privacy import expire
from training.rekeying import RekeyRequest, rekey

VISITORS = ("a", "b", "c", "")
NOW = encoder(ROTATED)


def decided(folder: Path, visitor: IdEncoder, session: IdEncoder) -> FeatureWorkspace:
    """Make a workspace with decision points of visits, one a day, as a training leaves it."""
    made = a_workspace(folder)
    made.decisions.mkdir(exist_ok=True)
    visits = [f"browser-{one}.{number}" for number, one in enumerate(VISITORS)]
    columns: dict[str, pa.Array] = {
        "decision_id": pa.array([f"{session.encode(one)}:{len(one)}" for one in visits]),
        "session_id": pa.array(list(map(session.encode, visits))),
        "visitor_id": pa.array([visitor.encode(one) or None for one in VISITORS]),
        "feature_time": pa.array(
            [published(number) for number in range(len(VISITORS))], pa.timestamp("us", tz="UTC")
        ),
    }
    for place, name in enumerate(FEATURE_NAMES):
        columns[name] = pa.array(np.full(len(visits), place, np.float32))
    pq.write_table(pa.table(columns), made.decisions / "00000.parquet", row_group_size=3)
    return made


def rows_of(workspace: FeatureWorkspace) -> pa.Table:
    """Read the decision points."""
    return pq.read_table(workspace.decisions / "00000.parquet")


@pytest.mark.parametrize(
    ("visitor", "session"),
    [("", ""), (BEFORE, ""), (BEFORE, BEFORE)],
    ids=["plain", "of a training with keys on plain events", "earlier key"],
)
def test_decision_points_are_rekeyed(tmp_path: Path, visitor: str, session: str) -> None:
    """Each is what a training under the current key would have made of it, and is still joined."""
    made = decided(tmp_path / "ours", encoder(visitor), encoder(session))
    expected = decided(tmp_path / "expected", NOW, NOW)
    reports = rekey(RekeyRequest(NOW, workspace=made.root))
    (report,) = [one for one in reports if one.store.startswith("decision points")]
    assert (report.files, report.rewritten, report.rows) == (1, 1, 4)
    assert (report.renamed, report.left) == (4, 0)
    assert rows_of(made).equals(rows_of(expected))
    assert [path.name for path in made.decisions.iterdir()] == ["00000.parquet"]
    files = sorted(made.decisions.glob("*.parquet"))
    assert len(training_rows(made, files, ["session_id"])) == len(VISITORS)
    again = rekey(RekeyRequest(NOW, workspace=made.root))
    assert [one.rewritten for one in again] == [0] * len(again)


def test_decision_points_under_another_key_are_left_and_told(tmp_path: Path) -> None:
    """No key that is given leads on from theirs."""
    made = decided(tmp_path, encoder(UNLINKED), encoder(UNLINKED))
    reports = rekey(RekeyRequest(NOW, workspace=made.root))
    assert [one.left for one in reports if one.store.startswith("decision points")] == [4]


@pytest.mark.parametrize("name", ["retrain.unfinished", "training-x", "joining-x"])
def test_a_training_that_has_not_ended_is_told(tmp_path: Path, name: str) -> None:
    """Its work folders have ids as they were, which nothing would bring under the key."""
    made = decided(tmp_path, encoder(BEFORE), encoder(BEFORE))
    (made.root / name).mkdir()
    before = rows_of(made)
    with pytest.raises(InvalidDataError, match="a training works here"):
        rekey(RekeyRequest(NOW, events=(tmp_path / "events",), workspace=made.root))
    assert rows_of(made).equals(before)
    assert not list((tmp_path / "events").glob("*.json"))


def test_old_decision_points_go(tmp_path: Path) -> None:
    """By the day on which they were; a file that has none left goes."""
    made = decided(tmp_path, encoder(""), encoder(""))
    assert expire(day(2), workspace=made.root).decisions == 2
    assert rows_of(made)["visitor_id"].to_pylist() == ["c", None]
    assert expire(day(2), workspace=made.root).decisions == 0
    assert expire(day(3) + timedelta(days=1), workspace=made.root).decisions == 2
    assert list(made.decisions.iterdir()) == []

"""Sizes and conversion of clusters and audiences, by hand."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from training.evaluation import Evaluation, evaluate, evaluation_table, measure_segments
from training.evaluation.segments import SegmentRow, Share

COLUMNS = ["session_id", "epoch", "source_seq", "batch_last", "converted", "label", "cluster"]
# A visit that buys at its fourth event, and one that leaves; then the first session's next visit.
ROWS = [
    ("a", 0, 1, False, False, True, "few"),  # no decision point: the batch goes on
    ("a", 0, 2, True, False, True, "few"),
    ("a", 0, 3, True, False, True, "many"),
    ("a", 0, 4, True, True, False, "many"),  # the order
    ("b", 0, 1, True, False, False, "few"),
    ("a", 1, 5, True, False, False, "few"),
]
AUDIENCES = [[], ["new"], ["new", "rich"], ["rich"], [], ["new"]]


@pytest.fixture
def rows() -> dict[str, SegmentRow]:
    """The measured segments by id."""
    frame = pd.DataFrame(ROWS, columns=COLUMNS)
    frame = frame.assign(audiences=pd.Series(AUDIENCES), after_order=False)
    found = measure_segments(frame.sample(frac=1, random_state=1), ["few", "many"],
                             ["rich", "new", "nobody"])  # fmt: skip
    return {row.id: row for row in found}


def test_points_before_the_order_count(rows: dict[str, SegmentRow]) -> None:
    """Four of them; of those in a cluster, the part with an order to come."""
    assert rows["few"].points == Share(3, 3 / 4, 1 / 3)
    assert rows["many"].points == Share(1, 1 / 4, 1.0)
    assert rows["new"].points == Share(3, 3 / 4, 2 / 3)
    assert rows["rich"].points == Share(1, 1 / 4, 1.0)


def test_a_visit_counts_once(rows: dict[str, SegmentRow]) -> None:
    """Wherever it was at any point, and where it was last; a session's next visit is another."""
    assert rows["few"].visits == Share(3, 1.0, 1 / 3)
    assert rows["many"].visits == Share(1, 1 / 3, 1.0)
    assert rows["few"].last == Share(2, 2 / 3, 0.0)
    assert rows["many"].last == Share(1, 1 / 3, 1.0)
    assert rows["new"].last == Share(2, 2 / 3, 1 / 2)


def test_an_empty_audience_has_no_conversion(rows: dict[str, SegmentRow]) -> None:
    """Nobody in it is nothing to divide by."""
    nobody = Share(0, 0.0, None)
    assert rows["nobody"] == SegmentRow("audience", "nobody", nobody, nobody, nobody)
    assert [row.kind for row in rows.values()] == ["cluster"] * 2 + ["audience"] * 3


def test_table_shows_them(rows: dict[str, SegmentRow], scored_events: object) -> None:
    """Each has a line with its shares; without any there is no table."""
    plain: Evaluation = evaluate(scored_events(200), bootstrap=0)  # type: ignore[operator]
    shown = replace(plain, segments=tuple(rows.values()))
    console = Console(width=100, record=True)
    console.print(evaluation_table(shown))
    line = next(one for one in console.export_text().splitlines() if one.strip().startswith("few "))
    assert line.split() == ["few", "75.0%", "33.33%", "100.0%", "33.33%", "66.7%", "0.00%"]
    other = Console(width=100, record=True)
    other.print(evaluation_table(plain))
    assert "Clusters and audiences" not in other.export_text()
    assert shown.to_dict()["segments"][0]["points"]["n"] == 3

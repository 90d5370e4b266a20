"""Which rows are judged at a number of events seen."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from micromoment.errors import InvalidDataError
from training.evaluation.scored import at_events_seen, read_scored_events

# Two visits written by hand: session, source_seq, second, batch_last, events_seen, conversion,
# converted, after_order, label. Rows of one second are one batch and carry what holds at its end.
_ROWS = [
    ("a", 1, 0, True, 1, 0.1, False, False, True),
    ("a", 2, 5, False, 4, 0.2, False, False, True),  # a batch of three
    ("a", 3, 5, False, 4, 0.2, False, False, True),
    ("a", 4, 5, True, 4, 0.2, False, False, True),
    ("a", 5, 9, True, 5, 0.9, False, True, True),  # the confirmation page, before the purchase
    ("a", 6, 10, False, 7, None, True, False, False),  # the purchase and a page in its batch
    ("a", 7, 10, True, 7, None, True, False, False),
    ("b", 3, 0, True, 1, 0.3, False, False, False),  # its first raw rows were merged or dropped
    ("b", 8, 4, True, 2, 0.4, False, False, False),
]
_NAMES = [
    "session_id", "source_seq", "second", "batch_last", "events_seen", "conversion", "converted",
    "after_order", "label",
]  # fmt: skip


@pytest.fixture
def frame() -> pd.DataFrame:
    """The two visits, their rows not in order."""
    rows = pd.DataFrame(_ROWS, columns=_NAMES)
    rows["conversion"] = rows["conversion"].astype(float)
    rows["baseline"] = rows["conversion"] / 2
    rows["visitor_id"] = "v-" + rows["session_id"]
    rows["event_time"] = pd.to_datetime(rows.pop("second"), unit="s", utc=True)
    return rows.iloc[::-1].reset_index(drop=True)


def test_kth_row_carries_the_end_of_its_batch(frame: pd.DataFrame) -> None:
    """The second row of a visit is judged with the score after all of its batch."""
    points = at_events_seen(frame, 2)
    assert dict(zip(points.events_seen, points.conversion, strict=True)) == {4: 0.2, 2: 0.4}
    assert points.label.tolist() == [seen == 4 for seen in points.events_seen]
    assert frame["session_id"].iloc[points.row].tolist() == [
        "a" if seen == 4 else "b" for seen in points.events_seen
    ]


def test_shorter_visits_are_not_there(frame: pd.DataFrame) -> None:
    """A visit of two rows is judged at 2 and not at 3."""
    assert len(at_events_seen(frame, 2).row) == 2
    assert at_events_seen(frame, 3).conversion.tolist() == [0.2]


def test_confirmation_page_is_left_out(frame: pd.DataFrame) -> None:
    """The row of the order's confirmation page is no decision point, and is counted."""
    points = at_events_seen(frame, 5)
    assert len(points.row) == 0
    assert (points.left_converted, points.left_after_order) == (0, 1)


@pytest.mark.parametrize("k", [6, 7])
def test_batch_of_the_purchase_is_left_out(frame: pd.DataFrame, k: int) -> None:
    """No row of the batch that holds the purchase is a decision point, and each is counted."""
    points = at_events_seen(frame, k)
    assert len(points.row) == 0
    assert (points.left_converted, points.left_after_order) == (1, 0)


def test_k_that_no_visit_reaches_is_empty(frame: pd.DataFrame) -> None:
    """A number of events that no visit has gives no rows and no error."""
    assert len(at_events_seen(frame, 100).row) == 0


def test_all_points_are_one_row_per_batch(frame: pd.DataFrame) -> None:
    """Over all points, a batch of three counts once."""
    points = read_scored_events(frame).all_points()
    assert sorted(points.conversion) == [0.1, 0.2, 0.3, 0.4]
    assert (points.left_converted, points.left_after_order) == (1, 1)


def test_arrow_and_pandas_agree(frame: pd.DataFrame) -> None:
    """A table gives the same points as the frame that it was made of."""
    table = pa.Table.from_pandas(frame)
    assert at_events_seen(table, 2).row.tolist() == at_events_seen(frame, 2).row.tolist()


def test_no_rows_are_no_error(frame: pd.DataFrame) -> None:
    """An empty frame has no sessions."""
    events = read_scored_events(frame.iloc[:0])
    assert events.n_sessions == 0
    assert len(events.at(1).row) == len(events.all_points().row) == 0


def test_missing_column_is_named(frame: pd.DataFrame) -> None:
    """A column that lacks is named."""
    with pytest.raises(InvalidDataError, match="column after_order is missing"):
        at_events_seen(frame.drop(columns="after_order"), 1)


def test_wrong_type_is_named(frame: pd.DataFrame) -> None:
    """A column of another type is named with both types."""
    frame["label"] = "maybe"
    with pytest.raises(InvalidDataError, match="column label is string, not bool"):
        at_events_seen(frame, 1)


def test_null_is_named(frame: pd.DataFrame) -> None:
    """A null where none may be is named by row and column."""
    frame.loc[3, "visitor_id"] = None
    with pytest.raises(InvalidDataError, match="row 3, column visitor_id is null"):
        at_events_seen(frame, 1)


@pytest.mark.parametrize("column", ["conversion", "baseline"])
@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1])
def test_score_that_is_no_probability_is_named(
    frame: pd.DataFrame, column: str, value: float
) -> None:
    """A judged row needs a probability of either model."""
    frame[column] = frame[column].where(frame["source_seq"] != 1, value)
    with pytest.raises(InvalidDataError, match=f"row 8, column {column} is .* not in 0..1"):
        at_events_seen(frame, 1)


def test_ambiguous_order_is_refused(frame: pd.DataFrame) -> None:
    """Two rows of a session with one sequence number have no order."""
    frame.loc[frame["session_id"] == "b", "source_seq"] = 1
    with pytest.raises(InvalidDataError, match="rows 0 and 1 share session and source_seq"):
        at_events_seen(frame, 1)


def test_counting_starts_at_one(frame: pd.DataFrame) -> None:
    """There is no row before the first."""
    with pytest.raises(ValueError, match="k is 0"):
        at_events_seen(frame, 0)

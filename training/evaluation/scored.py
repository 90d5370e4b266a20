"""Scored events, and the decision points that they are judged at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.errors import InvalidDataError

Frame: TypeAlias = "pa.Table | pd.DataFrame"
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SOURCE: Final = "scored events"
# `conversion` and `baseline` may be null; the other columns may not.
COLUMNS: Final = {
    "session_id": pa.string(),
    "visitor_id": pa.string(),
    "source_seq": pa.int64(),
    "batch_last": pa.bool_(),
    "events_seen": pa.int64(),
    "event_time": pa.timestamp("us", tz="UTC"),
    "conversion": pa.float64(),
    "baseline": pa.float64(),
    "converted": pa.bool_(),
    "after_order": pa.bool_(),
    "label": pa.bool_(),
}
_SCORES: Final = ("conversion", "baseline")


@dataclass(frozen=True, slots=True)
class DecisionPoints:
    """Rows that are judged, one element each: their place in the frame, scores and outcome.

    `left_converted` and `left_after_order` count the rows that were asked for and left out, as a
    purchase had happened by the end of their batch, or as they belong to its confirmation page.
    """

    row: IntArray
    visitor: IntArray  # codes 0 .. visitors - 1
    events_seen: IntArray
    label: BoolArray
    conversion: FloatArray
    baseline: FloatArray
    left_converted: int
    left_after_order: int


@dataclass(frozen=True, slots=True)
class ScoredEvents:
    """n events in order of session, then `source_seq`; arrays of shape (n,).

    Session s owns the events `starts[s] : starts[s + 1]`. All rows of a batch carry what holds at
    its end, so that a row is its batch's decision point, whichever row it is.
    """

    starts: IntArray  # (sessions + 1,)
    row: IntArray
    visitor: IntArray
    events_seen: IntArray
    event_time: IntArray  # microseconds since 1970
    batch_last: BoolArray
    converted: BoolArray
    after_order: BoolArray
    label: BoolArray
    conversion: FloatArray
    baseline: FloatArray

    @property
    def n_sessions(self) -> int:
        """Count the sessions."""
        return len(self.starts) - 1

    def at(self, k: int) -> DecisionPoints:
        """Give the k-th row of each session that has so many, unless its order is placed."""
        if k < 1:
            raise ValueError(f"k is {k}, the first row is 1")
        lengths = np.diff(self.starts)
        return self._points(self.starts[:-1][lengths >= k] + (k - 1))

    def all_points(self) -> DecisionPoints:
        """Give every decision point, the last row of each batch, unless its order is placed."""
        return self._points(np.flatnonzero(self.batch_last))

    def _points(self, at: IntArray) -> DecisionPoints:
        converted = self.converted[at]
        after_order = self.after_order[at] & ~converted
        kept = at[~converted & ~after_order]
        for name, scores in (("conversion", self.conversion), ("baseline", self.baseline)):
            self._check_scores(name, scores, kept)
        return DecisionPoints(
            row=self.row[kept],
            visitor=self.visitor[kept],
            events_seen=self.events_seen[kept],
            label=self.label[kept],
            conversion=self.conversion[kept],
            baseline=self.baseline[kept],
            left_converted=int(converted.sum()),
            left_after_order=int(after_order.sum()),
        )

    def _check_scores(self, name: str, scores: FloatArray, at: IntArray) -> None:
        # Written so that a NaN, from a null, is wrong as well.
        wrong = at[~((scores[at] >= 0) & (scores[at] <= 1))]
        if len(wrong):
            row, value = int(self.row[wrong[0]]), scores[wrong[0]]
            found = "null, though no purchase has happened yet" if np.isnan(value) else f"{value}"
            raise InvalidDataError(SOURCE, f"row {row}, column {name} is {found}; not in 0..1")


def at_events_seen(frame: Frame, k: int) -> DecisionPoints:
    """Give, for each session with k rows or more, the row that is k-th in `source_seq` order.

    Rows whose batch ends converted or that are `after_order` are left out and counted. Raises
    `InvalidDataError` naming the column or row that isn't as `COLUMNS` says.
    """
    return read_scored_events(frame).at(k)


def read_scored_events(frame: Frame) -> ScoredEvents:
    """Check a table or frame with `COLUMNS` (others are ignored) and put its rows in order."""
    table = pa.Table.from_pandas(frame) if isinstance(frame, pd.DataFrame) else frame
    columns = {name: _column(table, name, kind) for name, kind in COLUMNS.items()}
    session = _codes(columns["session_id"])
    seq = _numpy(columns["source_seq"])
    order = np.lexsort((seq, session))
    repeated = np.flatnonzero((np.diff(session[order]) == 0) & (np.diff(seq[order]) == 0))
    if len(repeated):
        first, second = order[repeated[0]], order[repeated[0] + 1]
        raise InvalidDataError(SOURCE, f"rows {first} and {second} share session and source_seq")
    sizes = np.bincount(session) if len(session) else np.zeros(0, dtype=np.int64)
    return ScoredEvents(
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        row=order,
        visitor=_codes(columns["visitor_id"])[order],
        events_seen=_numpy(columns["events_seen"])[order],
        event_time=_numpy(pc.cast(columns["event_time"], pa.int64()))[order],
        batch_last=_numpy(columns["batch_last"])[order],
        converted=_numpy(columns["converted"])[order],
        after_order=_numpy(columns["after_order"])[order],
        label=_numpy(columns["label"])[order],
        conversion=_numpy(columns["conversion"])[order],
        baseline=_numpy(columns["baseline"])[order],
    )


def _column(table: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    if name not in table.column_names:
        raise InvalidDataError(SOURCE, f"column {name} is missing")
    column = table[name]
    try:
        column = column.cast(kind)
    except pa.ArrowException:
        raise InvalidDataError(SOURCE, f"column {name} is {column.type}, not {kind}") from None
    if column.null_count and name not in _SCORES:
        row = pc.index(column.is_null(), value=True).as_py()
        raise InvalidDataError(SOURCE, f"row {row}, column {name} is null")
    merged = column.combine_chunks()
    return pc.fill_null(merged, float("nan")) if name in _SCORES else merged


def _codes(column: pa.Array) -> IntArray:
    codes: IntArray = _numpy(pc.dictionary_encode(column).indices).astype(np.int64)
    return codes


def _numpy(column: pa.Array) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return array

"""Leaves out, of staged rows, whom the folder's list of erasures names: nobody is brought back.

A visit in which somebody occurs who was erased goes as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.stores.erasure_list import ErasureList
from training.importers.ga4_stage import Stage
from training.importers.tally import Tally

ERASED: Final = "erased"
# Lines of orders name the customer alone.
_IDS: Final = ("user_id", "anonymous_id", "customer_id")
_SESSION: Final = "session_id"
_TIME: Final = "event_time"

_Marks = npt.NDArray[np.bool_]


def leave_out_erased(stage: Stage, erasures: ErasureList, tally: Tally) -> None:
    """Remove the rows of those who were erased from the staged files, and count them as dropped.

    `erasures` are the folder's, with the forms in which ids are staged (`Pseudonyms`).
    """
    if not erasures:
        return
    files = [path for day in stage.days() for path in stage.rows_of(day)]
    sessions: set[str] = set()
    for path in files:
        rows = _read(path, [*_IDS, _SESSION, _TIME])
        if _SESSION in rows.column_names:
            sessions.update(rows.filter(pa.array(_marks(rows, erasures)))[_SESSION].to_pylist())
    for path in files:
        _rewrite(path, erasures, sessions, tally)


def _rewrite(path: Path, erasures: ErasureList, sessions: set[str], tally: Tally) -> None:
    rows = _read(path)
    marks = _marks(rows, erasures)
    if sessions and _SESSION in rows.column_names:
        among = pc.is_in(rows[_SESSION], value_set=pa.array(sorted(sessions)))
        marks |= among.to_numpy()
    if not marks.any():
        return
    gone = rows.filter(pa.array(marks)).select(["file_no", "row_no"]).to_pylist()
    counts = Counter(row["file_no"] for row in gone)
    for file_no, count in counts.items():
        first = min(row["row_no"] for row in gone if row["file_no"] == file_no)
        tally.add("dropped", [(file_no, ERASED, count, first)])
    kept = rows.filter(pa.array(~marks))
    if len(kept):
        pq.write_table(kept, path, compression="lz4")
        return
    path.unlink()
    if not any(path.parent.iterdir()):
        path.parent.rmdir()


def _read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        wanted = None if columns is None else [name for name in columns if name in names]
        return file.read(columns=wanted)


def _marks(rows: pa.Table, erasures: ErasureList) -> _Marks:
    """Mark the rows of somebody who was erased when they had happened, shape (n,)."""
    marks = np.zeros(len(rows), np.bool_)
    times = _times(rows)
    for name in _IDS:
        if name in rows.column_names:
            marks |= times <= _until(rows[name], erasures)
    return marks


def _until(ids: pa.ChunkedArray, erasures: ErasureList) -> npt.NDArray[np.int64]:
    encoded = pc.dictionary_encode(ids.combine_chunks())
    known = [erasures.until(one or "") for one in encoded.dictionary.to_pylist()]
    table = np.array([*known, 0], np.int64)
    places: npt.NDArray[np.int64] = encoded.indices.fill_null(len(known)).to_numpy(
        zero_copy_only=False
    )
    return table[places]


def _times(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Give when rows happened, in microseconds since 1970; 1 where they don't say."""
    if _TIME not in rows.column_names:
        return np.ones(len(rows), np.int64)
    column = rows[_TIME]
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz))
    times: npt.NDArray[np.int64] = column.cast(pa.int64()).fill_null(1).to_numpy()
    return times

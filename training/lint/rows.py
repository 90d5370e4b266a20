"""Tables of decision rows, ours or anybody's, as arrays, and visits after k events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from training.models.rows import DecisionRows
from training.models.weights import prefix_weight

KS: Final = (1, 3, 5, 10, 20)
MAX_CASES: Final = 40_000
MIN_BUYERS: Final = 20

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

_NEEDED: Final = ("label", "session")
_ROLES: Final = ("label", "events_seen", "session", "visitor", "day", "split")
# What micromoment's own decision rows hold beside features: ids, times, the outcome's bookkeeping.
_BOOKKEEPING: Final = frozenset(
    {
        "decision_id",
        "session_id",
        "visitor_id",
        "epoch",
        "event_id",
        "event_time",
        "feature_time",
        "source_seq",
        "batch_last",
        "converted",
        "after_order",
        "wanted",
    }
)


@dataclass(frozen=True, slots=True)
class RowTable:
    """Decision rows and, where the table says so, which of them are to judge on."""

    rows: DecisionRows
    judged: BoolArray | None


def visits_at(rows: DecisionRows, k: int) -> DecisionRows:
    """Give each visit's first row with k events or more; at most `MAX_CASES`, by visitor."""
    at_k = np.flatnonzero(prefix_weight(rows.events_seen, rows.session, [k]) > 0)
    if len(at_k) > MAX_CASES:
        mixed = rows.visitor[at_k].astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
        share = mixed.astype(np.float64) / 2.0**64
        at_k = at_k[share < MAX_CASES / len(at_k)]
    return rows.take(at_k)


def enough(rows: DecisionRows) -> bool:
    """Tell whether enough visitors buy, and don't, for a figure to mean something."""
    buyers = len(np.unique(rows.visitor[rows.label]))
    return buyers >= MIN_BUYERS and len(np.unique(rows.visitor[~rows.label])) >= MIN_BUYERS


def read_rows(path: Path) -> RowTable:
    """Read a Parquet file of decision rows.

    `label` and `session` are needed; `events_seen` (else the place in the visit), `visitor` (else
    the visit), `day` and `split` (train or test) are used where they are there. Every other column
    of numbers, times, truth values or words is a feature. Raises `InvalidDataError` naming what is
    missing.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidDataError(str(path), f"isn't a readable Parquet file: {error}") from None
    table = _renamed(table)
    for name in _NEEDED:
        if name not in table.column_names:
            raise InvalidDataError(str(path), f"column {name} is missing")
    if not len(table):
        raise InvalidDataError(str(path), "holds no rows")
    session = _codes(table["session"])
    names, columns = _features(table)
    if not names:
        raise InvalidDataError(str(path), "holds no column of features")
    rows = DecisionRows(
        features=np.ascontiguousarray(np.stack(columns, axis=1), np.float32),
        feature_names=names,
        label=_label(path, table["label"]),
        events_seen=_events_seen(table, session),
        session=session,
        visitor=_codes(table["visitor"]) if "visitor" in table.column_names else session,
        day=_days(table),
    )
    return RowTable(rows, _judged(table))


def _renamed(table: pa.Table) -> pa.Table:
    for role, other in (("session", "session_id"), ("visitor", "visitor_id")):
        if role not in table.column_names and other in table.column_names:
            table = table.rename_columns({other: role})
    if "epoch" in table.column_names:  # our own rows: a session may hold several visits
        parts = [pc.cast(table["session"], pa.string()), pc.cast(table["epoch"], pa.string())]
        visit = pc.binary_join_element_wise(*parts, ":")
        table = table.set_column(table.column_names.index("session"), "session", visit)
    return table


def _label(path: Path, column: pa.ChunkedArray) -> BoolArray:
    if column.null_count:
        raise InvalidDataError(str(path), "column label has empty rows")
    if not (pa.types.is_boolean(column.type) or _is_number(column.type)):
        raise InvalidDataError(
            str(path), f"column label is {column.type}; it must be true or false, 1 or 0"
        )
    label: BoolArray = pc.cast(column, pa.float64()).to_numpy() > 0
    return label


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _features(table: pa.Table) -> tuple[tuple[str, ...], list[npt.NDArray[np.float32]]]:
    names, columns = [], []
    for name in table.column_names:
        if name in _ROLES or name in _BOOKKEEPING:
            continue
        values = _numbers(table[name])
        if values is not None:
            names.append(name)
            columns.append(values)
    return tuple(names), columns


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float32] | None:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = pc.cast(column, kind.value_type)
        kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        codes = _codes(column).astype(np.float32)
        return np.where(column.is_null().to_numpy(), np.float32(np.nan), codes)
    if pa.types.is_temporal(kind):
        column = pc.cast(column, pa.int32() if pa.types.is_date32(kind) else pa.int64())
        kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        column = pc.cast(column, pa.float64(), safe=False)
    values: npt.NDArray[np.float64] = column.to_numpy().astype(np.float64)
    # Numbers too long for float32 (ids, times) keep their order and their distinctness as ranks.
    whole = values[np.isfinite(values)]
    if len(whole) and np.abs(whole).max() >= 2**24:
        place = np.unique(values, return_inverse=True, equal_nan=True)[1]
        values = np.where(np.isfinite(values), place.astype(np.float64), np.nan)
    return values.astype(np.float32)


def _events_seen(table: pa.Table, session: IntArray) -> IntArray:
    if "events_seen" in table.column_names:
        seen_column: IntArray = pc.cast(table["events_seen"], pa.int64()).to_numpy()
        return np.maximum(seen_column, 1)
    order = np.argsort(session, kind="stable")
    ordered = session[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.append(begins, len(ordered)))
    seen = np.empty(len(ordered), np.int64)
    seen[order] = np.arange(len(ordered)) - np.repeat(begins, lengths) + 1
    return seen


def _days(table: pa.Table) -> IntArray:
    if "day" not in table.column_names:
        return np.zeros(len(table), np.int64)
    column = table["day"]
    if pa.types.is_string(column.type):
        column = pc.cast(column, pa.date32())
    if pa.types.is_timestamp(column.type):
        column = pc.cast(column, pa.date32(), safe=False)
    if pa.types.is_date32(column.type):
        column = pc.cast(column, pa.int32())
    days: IntArray = column.to_numpy().astype(np.int64)
    return days


def _judged(table: pa.Table) -> BoolArray | None:
    if "split" not in table.column_names:
        return None
    words = [str(word).lower() for word in table["split"].to_pylist()]
    return np.array([word not in {"train", "fit", "0", "false"} for word in words], np.bool_)


def _codes(column: pa.ChunkedArray) -> IntArray:
    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    codes: IntArray = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes

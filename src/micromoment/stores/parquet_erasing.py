"""Removes rows from Parquet files: only files that have some are written anew, each as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError

_TIME: Final = "event_time"
# By column, the values of whose rows are meant.
Whose = Mapping[str, Collection[str]]


def erase_rows(path: Path, whose: Whose, *, until_us: int | None = None) -> int:
    """Remove the rows in which one of the columns has one of its values; give how many.

    With `until_us` only those whose `event_time` is not after that.

    The file appears whole or stays as it was; a column that it lacks counts as empty. Raises
    `InvalidDataError` for a file that is no Parquet file.
    """
    try:
        with pq.ParquetFile(path) as file:
            sets = _sets(file.schema_arrow, whose)
            if not sets:
                return 0
            columns = [*sets, *([] if until_us is None else [_TIME])]
            found = sum(_count(_mask(part, sets, until_us)) for part in _parts(file, columns))
            if not found:
                return 0
            _rewrite(path, file, lambda part: _mask(part, sets, until_us))
    except pa.ArrowInvalid as error:
        raise InvalidDataError(str(path), f"is no Parquet file: {error}") from None
    return found


def erase_before(path: Path, column: str, before_us: int) -> int:
    """Remove the rows whose time is before a moment, in microseconds since 1970; give how many.

    The file appears whole or stays as it was; without a row left it is removed. Raises
    `InvalidDataError` for a file that is no Parquet file or lacks the column.
    """
    before = pa.scalar(before_us, pa.timestamp("us", tz="UTC"))

    def is_old(part: pa.Table) -> pa.ChunkedArray:
        return pc.fill_null(pc.less(part[column].cast(before.type), before), fill_value=False)

    try:
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise InvalidDataError(str(path), f"column {column} is missing")
            found = sum(_count(is_old(part)) for part in _parts(file, [column]))
            if found == file.metadata.num_rows:
                path.unlink()
            elif found:
                _rewrite(path, file, is_old)
    except pa.ArrowInvalid as error:
        raise InvalidDataError(str(path), f"is no Parquet file: {error}") from None
    return found


def values_where(path: Path, whose: Whose, wanted: str, *, until_us: int | None = None) -> set[str]:
    """Give the values of a column in those rows, without null and the empty one.

    Raises `InvalidDataError` for a file that is no Parquet file.
    """
    found: set[str] = set()
    try:
        with pq.ParquetFile(path) as file:
            sets = _sets(file.schema_arrow, whose)
            if not sets or wanted not in file.schema_arrow.names:
                return found
            columns = [*{*sets, wanted}, *([] if until_us is None else [_TIME])]
            for part in _parts(file, columns):
                found.update(part.filter(_mask(part, sets, until_us))[wanted].to_pylist())
    except pa.ArrowInvalid as error:
        raise InvalidDataError(str(path), f"is no Parquet file: {error}") from None
    return {value for value in found if value}


def rows_where(path: Path, whose: Whose) -> Iterator[dict[str, object]]:
    """Give those rows by column. Raises `InvalidDataError` for a file that is no Parquet file."""
    try:
        with pq.ParquetFile(path) as file:
            sets = _sets(file.schema_arrow, whose)
            if sets:
                for part in _parts(file, None):
                    yield from part.filter(_mask(part, sets)).to_pylist()
    except pa.ArrowInvalid as error:
        raise InvalidDataError(str(path), f"is no Parquet file: {error}") from None


def _sets(schema: pa.Schema, whose: Whose) -> dict[str, pa.Array]:
    return {
        name: pa.array(sorted(set(values) - {""}), pa.string())
        for name, values in whose.items()
        if name in schema.names and set(values) - {""}
    }


def _parts(file: pq.ParquetFile, columns: list[str] | None) -> Iterator[pa.Table]:
    for group in range(file.num_row_groups):
        yield file.read_row_group(group, columns=columns)


def _mask(
    part: pa.Table, sets: Mapping[str, pa.Array], until_us: int | None = None
) -> pa.ChunkedArray:
    masks = [pc.is_in(part[name].cast(pa.string()), value_set=sets[name]) for name in sets]
    mask = masks[0]
    for other in masks[1:]:
        mask = pc.or_(mask, other)
    if until_us is None:
        return mask
    until = pa.scalar(until_us, pa.timestamp("us", tz="UTC"))
    return pc.and_(mask, pc.fill_null(pc.less_equal(part[_TIME], until), fill_value=True))


def _count(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0


def _rewrite(
    path: Path, file: pq.ParquetFile, is_gone: Callable[[pa.Table], pa.ChunkedArray]
) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        with pq.ParquetWriter(draft, file.schema_arrow, compression=_compression(file)) as writer:
            for part in _parts(file, None):
                kept = part.filter(pc.invert(is_gone(part)))
                if len(kept):
                    writer.write_table(kept)
        descriptor = os.open(draft, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.chmod(path.stat().st_mode & 0o777)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _compression(file: pq.ParquetFile) -> str:
    if not file.num_row_groups or not file.metadata.num_columns:
        return "zstd"
    found = str(file.metadata.row_group(0).column(0).compression).lower()
    return "none" if found == "uncompressed" else found

"""Opening tables: Parquet files as they are, CSV files by way of Parquet."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final, TextIO, cast

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from training.importers.engine import file_list
from training.importers.sources import open_file
from training.importers.table.mapping import Csv

_CSV_SUFFIXES: Final = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
SUFFIXES: Final = (".parquet", *_CSV_SUFFIXES)
_DELIMITERS: Final = ";\t|,"
# What a text in another encoding leaves behind.
_NO_TEXT: Final = "\ufffd\0"
_BLOCK_BYTES: Final = 8_000_000
# Holds the place of a CSV row; no column of a table has a name like this.
_ROW_NO: Final = "\x1frow_no"


@dataclass(frozen=True, slots=True)
class Table:
    """A table to query: its rows, its columns, and SQL for its source and a row's number from 1."""

    path: Path
    schema: pa.Schema
    source: str
    row_no: str
    rows: int
    malformed: tuple[int, ...] = ()


def column_names(path: Path, dialect: Csv) -> list[str]:
    """List the columns of a file, from its footer or first line.

    Raises `InvalidDataError` naming a file that can't be read, and what to tell of it.
    """
    if not _is_csv(path):
        return _parquet_names(path)
    try:
        with _open_text(path, dialect.encoding) as file:
            lines = csv.reader(file, delimiter=dialect.delimiter)
            names = next((values for values in lines if values), [])
    except (OSError, EOFError, UnicodeError, csv.Error) as error:
        raise InvalidDataError(str(path), f"can't be read: {error}") from error
    if not names:
        raise InvalidDataError(str(path), "is empty: a first line with the columns is needed")
    if any(mark in name for name in names for mark in _NO_TEXT):
        advice = "write its own into the mapping, as csv: {encoding: latin-1} (or utf-16)"
        raise InvalidDataError(str(path), f"its first line isn't {dialect.encoding}: {advice}")
    other = next((sign for sign in _DELIMITERS if len(names) == 1 and sign in names[0]), None)
    if other is not None:
        advice = f"write into the mapping, as csv: {{delimiter: {json.dumps(other)}}}"
        raise InvalidDataError(
            str(path), f"has one column, {names[0][:100]!r}; if {other!r} parts columns, {advice}"
        )
    return names


def _parquet_names(path: Path) -> list[str]:
    try:
        return list(open_file(path).schema.names)
    except InvalidDataError:
        if path.name.lower().endswith(".parquet"):
            raise
        named = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        raise InvalidDataError(
            str(path), f"is no Parquet file and isn't named as a table ({named})"
        ) from None


def open_table(path: Path, columns: Sequence[str], dialect: Csv, spool: Path) -> Table:
    """Open a file for reading the named columns; a CSV file is first written to `spool`.

    Raises `InvalidDataError` naming a file that can't be read to its end.
    """
    if _is_csv(path):
        return _spooled(path, columns, dialect, spool)
    found = open_file(path)
    source = f"read_parquet({file_list([path])}, file_row_number = true)"
    return Table(path, found.schema, source, "file_row_number + 1", found.rows)


def _is_csv(path: Path) -> bool:
    return path.name.lower().endswith(_CSV_SUFFIXES)


def _open_text(path: Path, encoding: str) -> TextIO:
    known = "utf-8-sig" if encoding == "utf-8" else encoding
    if path.suffix.lower() == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding=known, errors="replace", newline=""))
    return path.open(encoding=known, errors="replace", newline="")


def _spooled(path: Path, columns: Sequence[str], dialect: Csv, spool: Path) -> Table:
    malformed: dict[int, None] = {}

    def skip(row: pa_csv.InvalidRow) -> str:
        malformed[row.number - 1] = None  # the first line holds the columns
        return "skip"

    numbers = _row_numbers(malformed)
    rows = 0
    try:
        reader = pa_csv.open_csv(
            path,
            pa_csv.ReadOptions(
                block_size=_BLOCK_BYTES, encoding=dialect.encoding, use_threads=False
            ),
            pa_csv.ParseOptions(
                delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            # As bytes, so that one broken letter costs one value and not the file.
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.binary()),
                include_columns=list(columns),
                strings_can_be_null=False,
            ),
        )
        schema = pa.schema([*reader.schema, pa.field(_ROW_NO, pa.int64())])
        with reader, pq.ParquetWriter(spool, schema, compression="lz4") as writer:
            for batch in reader:
                places = pa.array(islice(numbers, len(batch)), pa.int64())
                writer.write_table(pa.table([*batch.columns, places], schema=schema))
                rows += len(batch)
    except (pa.ArrowException, OSError, EOFError) as error:
        detail = str(error).strip().splitlines()[0]
        raise InvalidDataError(str(path), f"can't be read to its end: {detail}") from error
    source = f"read_parquet({file_list([spool])})"
    return Table(path, schema, source, f'"{_ROW_NO}"', rows + len(malformed), tuple(malformed))


def _row_numbers(malformed: Collection[int]) -> Iterator[int]:
    # Rows are found malformed before the batch around them is given.
    return (number for number in count(1) if number not in malformed)

"""Split days of events into parts by session, so that each part fits into memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.events.hashing import hash_strings
from micromoment.events.schema import EVENT_SCHEMA
from training.consented import tell_denied, without_denied
from training.event_files import EventDays

# The columns of a part: the event's, and whether its rows are asked for or only lead up to them.
PART_SCHEMA = EVENT_SCHEMA.append(pa.field("wanted", pa.bool_(), nullable=False))

ROWS_PER_PART = 400_000
_BATCH_ROWS = 131_072
# A part's rows wait for so many before they are written. A file remembers half a kilobyte for each
# column of each write: written batch by batch, that alone would grow with the events squared.
_ROWS_PER_WRITE = 8_192


def count_rows(days: EventDays) -> int:
    """Count the events of all days, from the files' footers."""
    return sum(pq.read_metadata(path).num_rows for path in days.files.values())


def partition_events(
    days: EventDays,
    out: Path,
    *,
    wanted_from: date | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Path]:
    """Write the events to `out` as parts of about `ROWS_PER_PART` rows, each session in one part.

    Events whose visitors denied analytics are left out, and counted in a warning. Arrival order is
    kept inside a part; its schema is `PART_SCHEMA`. Days before `wanted_from` are
    marked as not wanted. `advance` is told the rows done, for progress. Raises `InvalidDataError`
    naming file, row and column when a value is null that must not be.
    """
    out.mkdir(parents=True, exist_ok=True)
    n_parts = max(1, -(-count_rows(days) // ROWS_PER_PART))
    paths = [out / f"part-{part:05d}.parquet" for part in range(n_parts)]
    writers = [_PartWriter(path) for path in paths]
    denied = 0
    try:
        for day, path in days.files.items():
            wanted = wanted_from is None or day >= wanted_from
            row = 0
            for batch in pq.ParquetFile(path).iter_batches(_BATCH_ROWS):
                _check_nulls(path, batch, row)
                table = without_denied(pa.Table.from_batches([batch]))
                denied += len(batch) - len(table)
                _scatter(table, wanted, writers)
                row += len(batch)
                advance(len(batch))
    finally:
        for writer in writers:
            writer.close()
    tell_denied(denied)
    return paths


class _PartWriter:
    """Writes one part, many rows at a time."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, PART_SCHEMA, compression="lz4")
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Take rows in the order in which they are to stand."""
        self._waiting.append(table)
        self._rows += len(table)
        if self._rows >= _ROWS_PER_WRITE:
            self._write()

    def close(self) -> None:
        """Write what waits, and end the file."""
        self._write()
        self._writer.close()

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._rows = [], 0


def _check_nulls(path: Path, batch: pa.RecordBatch, first_row: int) -> None:
    for field in EVENT_SCHEMA:
        column = batch.column(field.name)
        if not field.nullable and column.null_count:
            row = first_row + pc.index(column.is_null(), value=True).as_py()
            raise InvalidDataError(str(path), f"row {row}, column {field.name} is null")


def _scatter(table: pa.Table, wanted: bool, writers: list[_PartWriter]) -> None:
    marks = pa.array(np.full(len(table), wanted))
    table = table.select(EVENT_SCHEMA.names).append_column("wanted", marks).cast(PART_SCHEMA)
    if len(writers) == 1:
        writers[0].add(table)
        return
    part_of = hash_strings(table["session_id"]) % np.uint64(len(writers))
    for part, writer in enumerate(writers):
        rows = np.flatnonzero(part_of == part)
        if len(rows):
            writer.add(table.take(rows))

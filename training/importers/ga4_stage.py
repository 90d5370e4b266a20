"""From raw GA4 export files to staged rows, partitioned by shop-day."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import duckdb

from micromoment.errors import InvalidDataError
from training.importers.engine import file_list, literal, script
from training.importers.ga4_names import UNNAMED_TIE_RANK, ga4_events
from training.importers.ga4_schema import column_expressions
from training.importers.progress import ProgressHook
from training.importers.sources import SourceFile
from training.importers.tally import Tally

FIRST_TIME_US: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
LAST_TIME_US: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 - 1
# Events may be sent up to 72 hours late, and the shop's midnight is up to 14 hours before UTC's.
DAYS_BEFORE: Final = 4
# The shop's day ends at most 12 hours after UTC's; two more for a client's clock that is ahead.
HOURS_AFTER: Final = 24 + 14

_BATCH_FILES: Final = 8
_DROPPED: Final = "dropped"


@dataclass(frozen=True, slots=True)
class Stage:
    """Staged rows in a folder: `<batch>/part=<day or dropped>/*.parquet`."""

    folder: Path

    def days(self) -> list[date]:
        """List the days that have rows, in order."""
        found = {path.name.removeprefix("part=") for path in self.folder.glob("*/part=*")}
        return sorted(date.fromisoformat(part) for part in found - {_DROPPED})

    def rows_of(self, part: date | str) -> list[Path]:
        """List the files with the rows of a day, or those that were dropped."""
        return sorted(self.folder.glob(f"*/part={part}/*.parquet"))

    def dropped(self) -> list[Path]:
        """List the files with the rows that can't be used."""
        return self.rows_of(_DROPPED)

    def all_rows(self) -> list[Path]:
        """List all files."""
        return sorted(self.folder.glob("*/part=*/*.parquet"))


def stage_files(
    db: duckdb.DuckDBPyConnection,
    sources: Sequence[SourceFile],
    folder: Path,
    currency: str,
    tally: Tally,
    progress: ProgressHook,
) -> Stage:
    """Flatten all files into staged rows and count what is read and dropped.

    Raises `InvalidDataError` naming the file that lacks a column or can't be read to its end.
    """
    expressions = [column_expressions(source.schema, str(source.path)) for source in sources]
    _create_names(db)
    stage = Stage(folder)
    start = 0
    while start < len(sources):
        stop = start + 1
        while (
            stop < min(start + _BATCH_FILES, len(sources))
            and expressions[stop] == expressions[start]
        ):
            stop += 1
        _stage_batch(db, sources[start:stop], start, expressions[start], folder, currency)
        start = stop
        progress("files", start, len(sources))
    for file_no, source in enumerate(sources):
        tally.add_read(file_no, source.rows)
    if stage.dropped():
        query = script("ga4_dropped", rows=f"read_parquet({file_list(stage.dropped())})")
        tally.add("dropped", db.sql(query).fetchall())
    return stage


def _create_names(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("CREATE TEMP TABLE names (event_name VARCHAR, type VARCHAR, tie_rank INTEGER)")
    db.executemany("INSERT INTO names VALUES (?, ?, ?)", list(ga4_events()))


def _stage_batch(
    db: duckdb.DuckDBPyConnection,
    batch: Sequence[SourceFile],
    first_no: int,
    expressions: dict[str, str],
    folder: Path,
    currency: str,
) -> None:
    target = folder / f"{first_no:06d}"
    query = _rows_query(batch, first_no, expressions, currency)
    target.mkdir(parents=True)
    try:
        db.execute(
            f"COPY ({query}) TO {literal(str(target))}"
            " (FORMAT parquet, COMPRESSION lz4, PARTITION_BY (part), OVERWRITE_OR_IGNORE)"
        )
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        if len(batch) == 1:
            detail = str(error).strip().splitlines()[0]
            raise InvalidDataError(str(batch[0].path), f"can't be read: {detail}") from error
        shutil.rmtree(target)
        for place, source in enumerate(batch):  # one of them is the broken one
            _stage_batch(db, [source], first_no + place, expressions, folder, currency)


def _rows_query(
    batch: Sequence[SourceFile], first_no: int, expressions: dict[str, str], currency: str
) -> str:
    paths = [source.path for source in batch]
    names = ", ".join(literal(str(path)) for path in paths)
    columns = {
        **expressions,
        "file_no": f"list_position([{names}], filename) - 1 + {first_no}",
        "row_no": "file_row_number + 1",
    }
    return script(
        "ga4_rows",
        columns=", ".join(f"{text} AS {name}" for name, text in columns.items()),
        files=file_list(paths),
        unnamed_tie_rank=UNNAMED_TIE_RANK,
        first_time=FIRST_TIME_US,
        last_time=LAST_TIME_US,
        days_before=DAYS_BEFORE,
        hours_after=HOURS_AFTER,
        day_ms=86_400_000,
        currency=literal(currency),
    )

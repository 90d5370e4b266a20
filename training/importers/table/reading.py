"""Reading tables, file by file, into rows for the later steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from micromoment.errors import InvalidDataError
from training.importers.engine import copy_rows
from training.importers.progress import ProgressHook
from training.importers.sources import find_all_files
from training.importers.table.columns import check_columns, mapped_columns
from training.importers.table.files import SUFFIXES, Table, column_names, open_table
from training.importers.table.mapping import Csv, TableMapping
from training.importers.tally import Tally


@dataclass(frozen=True, slots=True)
class Tables:
    """The files of an import and the columns that are read of them."""

    files: tuple[Path, ...]
    columns: tuple[str, ...]
    csv: Csv

    def read(
        self,
        db: duckdb.DuckDBPyConnection,
        query_of: Callable[[Table, int], str],
        folder: Path,
        tally: Tally,
        progress: ProgressHook,
    ) -> list[Path]:
        """Write what the query of each file gives into `folder`; count rows and malformed ones.

        `query_of` makes the query of a table and its file's number. Raises `InvalidDataError`
        naming a file that can't be read to its end.
        """
        folder.mkdir(exist_ok=True)
        spool = folder / "spool.parquet"
        written = []
        for file_no, path in enumerate(self.files):
            table = open_table(path, self.columns, self.csv, spool)
            tally.add_read(file_no, table.rows)
            if table.malformed:
                bad = (file_no, "malformed_row", len(table.malformed), min(table.malformed))
                tally.add("dropped", [bad])
            written.append(folder / f"{file_no:06d}.parquet")
            _copy(db, query_of(table, file_no), written[-1], path)
            spool.unlink(missing_ok=True)
            progress("files", file_no + 1, len(self.files))
        return written


def find_tables(
    patterns: str | Path | Sequence[Path | str], mapping: TableMapping, mapping_file: Path
) -> Tables:
    """Find the files and make sure that each has the columns that the mapping names.

    Raises `InvalidDataError` naming the file, and what to write into the mapping.
    """
    files = find_all_files(patterns, SUFFIXES)
    for path in files:
        check_columns(mapping, column_names(path, mapping.csv), str(path), mapping_file.name)
    columns = dict.fromkeys(named.column for named in mapped_columns(mapping))
    return Tables(tuple(files), tuple(columns), mapping.csv)


def _copy(db: duckdb.DuckDBPyConnection, query: str, target: Path, path: Path) -> None:
    try:
        copy_rows(db, query, target)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        detail = str(error).strip().splitlines()[0]
        raise InvalidDataError(str(path), f"can't be read: {detail}") from error

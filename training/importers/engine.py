"""The DuckDB engine of an import: bounded memory, the rest in files of the import's work folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from importlib import resources
from pathlib import Path
from string import Template

import duckdb

# Beside it the process holds its libraries and one batch of rows on their way into a file.
MEMORY_LIMIT = "1GB"
MAX_THREADS = 4
# Rows that a thread holds back before it writes a partition's row group.
_FLUSH_ROWS = 32_768


@contextmanager
def engine(work: Path, memory_limit: str = MEMORY_LIMIT) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an engine that spills into `work`; it never loads an extension from outside."""
    connection = duckdb.connect(
        config={
            "memory_limit": memory_limit,
            "temp_directory": str(work / "spill"),
            "threads": min(os.cpu_count() or 1, MAX_THREADS),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_file_cache": "false",
            "preserve_insertion_order": "false",
            "partitioned_write_flush_threshold": _FLUSH_ROWS,
        }
    )
    try:
        # Progress is shown by the importer, file by file.
        connection.execute("SET enable_progress_bar = false")
        # A join for each list of words, of which the queries are full: planning them took longer
        # than reading a small file, and joining longer than comparing.
        connection.execute("SET disabled_optimizers = 'in_clause'")
        # A time without an offset is UTC wherever the import runs.
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(script("macros"))
        yield connection
    finally:
        connection.close()


def script(name: str, **values: object) -> str:
    """Read `<name>.sql` of this package and put values, if any, in place of its $names."""
    text = resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
    return Template(text).substitute(values) if values else text


def literal(text: str) -> str:
    """Write a string as SQL."""
    return "'" + text.replace("'", "''") + "'"


def day_literal(day: date) -> str:
    """Write a day as SQL."""
    return f"DATE '{day.isoformat()}'"


def file_list(paths: Sequence[Path]) -> str:
    """Write paths as SQL for read_parquet, which would take *, ? and [ for a pattern."""
    return "[" + ", ".join(literal(_unglobbed(str(path))) for path in paths) + "]"


def _unglobbed(path: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def copy_rows(db: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    """Write what a query gives to one Parquet file for later steps."""
    db.execute(
        f"COPY ({query}) TO {literal(str(path))}"
        f" (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {_FLUSH_ROWS})"
    )


def copy_parts(db: duckdb.DuckDBPyConnection, query: str, folder: Path) -> None:
    """Write what a query gives to `folder/part=<part>/*.parquet`, by its column `part`."""
    folder.mkdir(parents=True)
    db.execute(
        f"COPY ({query}) TO {literal(str(folder))}"
        " (FORMAT parquet, COMPRESSION lz4, PARTITION_BY (part), OVERWRITE_OR_IGNORE)"
    )

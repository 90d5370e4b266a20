"""Which files an import reads, and whether they are Parquet files at all."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One Parquet file: its rows and its columns as the footer states them."""

    path: Path
    rows: int
    schema: pa.Schema


def find_files(
    pattern: str | Path | Sequence[Path | str], suffixes: Sequence[str] = (".parquet",)
) -> list[Path]:
    """List the files of a glob pattern, a folder or a list of paths, by name.

    Of a folder those are taken whose names end with one of `suffixes`. Raises `InvalidDataError`
    naming what matches nothing or doesn't exist.
    """
    if isinstance(pattern, str | Path):
        return _matches(str(pattern), suffixes)
    files: dict[Path, Path] = {}
    for path in pattern:
        if not Path(path).is_file():
            raise InvalidDataError(str(path), "no such file")
        files.setdefault(Path(path).resolve(), Path(path))
    if not files:
        raise InvalidDataError("import", "no files were given")
    return sorted(files.values())


def open_file(path: Path) -> SourceFile:
    """Read a file's footer. Raises `InvalidDataError` naming the file when it can't be read."""
    try:
        with pq.ParquetFile(path) as file:
            return SourceFile(path, file.metadata.num_rows, file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        detail = str(error).strip().splitlines()[0]
        raise InvalidDataError(str(path), f"isn't a whole Parquet file: {detail}") from error


def find_all_files(
    patterns: str | Path | Sequence[Path | str], suffixes: Sequence[str]
) -> list[Path]:
    """List the files of one pattern or of several, each a glob, a folder or a file, once each."""
    if isinstance(patterns, str | Path):
        return find_files(patterns, suffixes)
    found: dict[Path, Path] = {}
    for pattern in patterns:
        for path in find_files(pattern, suffixes):
            found.setdefault(path.resolve(), path)
    return find_files(list(found.values()))


def _matches(pattern: str, suffixes: Sequence[str]) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        endings = tuple(suffixes)
        files = [child for child in path.iterdir() if child.name.lower().endswith(endings)]
        files = [child for child in files if child.is_file()]
        missing = f"the folder holds no {' or '.join(f'*{suffix}' for suffix in suffixes)} file"
    elif path.is_file():
        files, missing = [path], ""
    else:
        found = map(Path, glob.glob(pattern, recursive=True))  # noqa: PTH207 - takes absolute ones
        files = [child for child in found if child.is_file()]
        missing = "no file matches"
    if not files:
        raise InvalidDataError(pattern, missing)
    return sorted(files)

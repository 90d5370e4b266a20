"""Lines of JSON files, plain or compressed, in batches across files."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

import pyarrow as pa

from micromoment.errors import InvalidDataError

SUFFIXES: Final = (".jsonl", ".json", ".ndjson", ".jsonl.gz", ".json.gz", ".ndjson.gz", ".gz")
# Segment takes messages of at most 32 KB.
MAX_LINE_BYTES: Final = 1_000_000
BATCH_LINES: Final = 16_384
BATCH_BYTES: Final = 16_000_000

_BOM: Final = b"\xef\xbb\xbf"
LINE_SCHEMA: Final = pa.schema(
    [("file_no", pa.int32()), ("row_no", pa.int64()), ("line", pa.string())]
)


def line_batches(
    files: Sequence[Path], finished: Callable[[int, int], None]
) -> Iterator[pa.RecordBatch]:
    """Give the lines of all files as batches of `file_no`, `row_no` (from 1) and `line`.

    Blank lines are passed over. A line that is too long or not UTF-8 is null. `finished` is called
    with each file's number and its lines. Raises `InvalidDataError` naming a file that can't be
    read to its end or holds a JSON array.
    """
    places: list[tuple[int, int]] = []
    lines: list[str | None] = []
    size = 0
    for file_no, path in enumerate(files):
        count = 0
        for row_no, line in _numbered_lines(path):
            places.append((file_no, row_no))
            lines.append(line)
            count += 1
            size += len(line or "")
            if len(lines) == BATCH_LINES or size >= BATCH_BYTES:
                yield _batch(places, lines)
                places, lines, size = [], [], 0
        finished(file_no, count)
    if lines:
        yield _batch(places, lines)


def _numbered_lines(path: Path) -> Iterator[tuple[int, str | None]]:
    try:
        with _open(path) as file:
            for row_no, raw in enumerate(_raw_lines(file), start=1):
                line = raw.removeprefix(_BOM) if raw and row_no == 1 else raw
                if row_no == 1 and line and _begins_array(line):
                    advice = "write one message a line (jq -c '.[]' does)"
                    raise InvalidDataError(str(path), f"holds a JSON array: {advice}")
                if line is None or line.strip():
                    yield row_no, _text(line)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidDataError(str(path), f"can't be read to its end: {error}") from error


def _open(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _raw_lines(file: BinaryIO) -> Iterator[bytes | None]:
    while raw := file.readline(MAX_LINE_BYTES):
        if len(raw) < MAX_LINE_BYTES or raw.endswith(b"\n"):
            yield raw
            continue
        while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield None


def _begins_array(line: bytes) -> bool:
    # A file of one array, on one line or on many.
    return line.strip() == b"[" or line.lstrip().startswith((b"[{", b"[ {"))


def _text(line: bytes | None) -> str | None:
    try:
        return None if line is None else line.decode()
    except UnicodeDecodeError:
        return None


def _batch(places: list[tuple[int, int]], lines: list[str | None]) -> pa.RecordBatch:
    file_nos, row_nos = zip(*places, strict=True)
    return pa.record_batch(
        [pa.array(c) for c in (file_nos, row_nos, lines)], schema=None, names=LINE_SCHEMA.names
    ).cast(LINE_SCHEMA)

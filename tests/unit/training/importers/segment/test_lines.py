from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError
from training.importers.segment import lines
from training.importers.segment.lines import LINE_SCHEMA, line_batches


def _read(*files: Path) -> tuple[list[tuple[int, int, str | None]], list[tuple[int, int]]]:
    counts: list[tuple[int, int]] = []
    found = []
    for batch in line_batches(files, lambda file_no, rows: counts.append((file_no, rows))):
        assert batch.schema == LINE_SCHEMA
        found += [tuple(row.values()) for row in batch.to_pylist()]
    return found, counts


def _file(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    """Blank lines are passed over but counted as places; a mark at the start is no text."""
    first = _file(tmp_path, "a.jsonl", b'\xef\xbb\xbf{"a":1}\n\n  \r\n{"b":2}\r\n{"c":3}')
    second = _file(tmp_path, "b.jsonl.gz", gzip.compress(b'{"d":4}\n'))
    found, counts = _read(first, second)
    texts = [(0, 1, '{"a":1}'), (0, 4, '{"b":2}'), (0, 5, '{"c":3}'), (1, 1, '{"d":4}')]
    assert [(file, row, (text or "").strip()) for file, row, text in found] == texts
    assert counts == [(0, 3), (1, 1)]


def test_lines_that_are_no_text_are_null(tmp_path: Path) -> None:
    """A line that isn't UTF-8 or is endless is one null row, and the next one is read as usual."""
    endless = b"x" * (2 * lines.MAX_LINE_BYTES + 7)
    path = _file(tmp_path, "a.jsonl", b"\xff\xfe\n" + endless + b"\n{}\n" + endless)
    found, counts = _read(path)
    assert found == [(0, 1, None), (0, 2, None), (0, 3, "{}\n"), (0, 4, None)]
    assert counts == [(0, 4)]


def test_batches_hold_every_line_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small batches are, all lines come in order, over the ends of files."""
    texts = [f'{{"n":{n}}}' for n in range(25)]
    files = [
        _file(tmp_path, f"{n}.jsonl", "\n".join(texts[n * 5 : n * 5 + 5]).encode())
        for n in range(5)
    ]
    for limit, value in (("BATCH_LINES", 7), ("BATCH_BYTES", 20)):
        monkeypatch.setattr(lines, limit, value)
        found, _ = _read(*files)
        assert [(text or "").strip() for _, _, text in found] == texts


def test_no_files_have_no_batches(tmp_path: Path) -> None:
    """Empty files give nothing but their counts."""
    assert _read(_file(tmp_path, "a.jsonl", b""), _file(tmp_path, "b.jsonl", b"\n")) == (
        [],
        [(0, 0), (1, 0)],
    )


@pytest.mark.parametrize("keep", [-8, 20, 5])
def test_a_truncated_file_is_named(tmp_path: Path, keep: int) -> None:
    """A gzip file that ends early, or is none, is an error with its name."""
    whole = gzip.compress(b'{"a":1}\n' * 10_000)
    path = _file(tmp_path, "cut.jsonl.gz", whole[:keep])
    with pytest.raises(InvalidDataError, match=r"cut\.jsonl\.gz: can't be read to its end"):
        _read(path)
    with pytest.raises(InvalidDataError, match="plain"):
        _read(_file(tmp_path, "plain.gz", b'{"a":1}\n'))

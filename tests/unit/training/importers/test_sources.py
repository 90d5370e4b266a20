from __future__ import annotations

from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError
from tests.support.ga4_export import raw, write_export
from training.importers.sources import find_files, open_file


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Give a folder with two export files, another file and a folder."""
    for name in ("events_20210106.parquet", "events_20210105.parquet"):
        write_export(tmp_path / name, [raw()])
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "truth").mkdir()
    write_export(tmp_path / "truth" / "truth.parquet", [raw()])
    return tmp_path


def test_files_come_from_a_pattern_a_folder_or_a_list(export: Path) -> None:
    """All three ways of naming files give them in the order of names, each once."""
    files = [export / "events_20210105.parquet", export / "events_20210106.parquet"]
    assert find_files(str(export / "events_*.parquet")) == files
    assert find_files(export) == files
    assert find_files([files[1], files[0], export / "truth" / ".." / files[0].name]) == files
    assert find_files(str(files[0])) == files[:1]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("nothing_*.parquet", "no file matches"), ("empty", "holds no"), ("gone.parquet", "no file")],
)
def test_what_matches_nothing_is_named(export: Path, pattern: str, message: str) -> None:
    """A pattern, folder or file that gives nothing is an error that says which."""
    (export / "empty").mkdir()
    with pytest.raises(InvalidDataError, match=message) as caught:
        find_files(export / pattern)
    assert pattern in str(caught.value)


def test_a_list_must_name_files_that_exist(export: Path) -> None:
    """An empty list and a missing file are errors."""
    with pytest.raises(InvalidDataError, match="no files were given"):
        find_files([])
    with pytest.raises(InvalidDataError, match=r"gone\.parquet: no such file"):
        find_files([export / "gone.parquet"])


def test_a_footer_tells_rows_and_columns(export: Path) -> None:
    """A file's rows and columns are known without reading it."""
    source = open_file(export / "events_20210105.parquet")
    assert source.rows == 1
    assert "event_params" in source.schema.names

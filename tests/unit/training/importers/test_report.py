from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from training.importers import FileReport, ImportReport


def _report() -> ImportReport:
    counts = {"merged": {"duplicate_row": 2}, "dropped": {"missing_ga_session_id": 1}}
    return ImportReport(
        rows_read=1_003,
        rows_kept=1_000,
        **counts,
        cleaned={"page_title.cut": 7},
        visitors=11,
        sessions=12,
        purchase_events_read=5,
        purchase_sessions=4,
        days={"2021-01-05": 1_000},
        files=(FileReport(rows_read=1_003, rows_kept=1_000, **counts, file="a.parquet"),),
        examples={"duplicate_row": "a.parquet:3"},
        notes=("A word to the reader.",),
    )


def test_every_row_must_be_accounted_for() -> None:
    """A report whose rows don't add up can't be made."""
    with pytest.raises(ValueError, match="10 rows read, but 7 kept and 2 merged or dropped"):
        FileReport(rows_read=10, rows_kept=7, merged={"a": 1}, dropped={"b": 1})


def test_the_report_is_written_as_json(tmp_path: Path) -> None:
    """report.json holds every number, those of each file included, and nothing lies beside it."""
    path = _report().write(tmp_path)
    assert [child.name for child in tmp_path.iterdir()] == ["report.json"]
    found = json.loads(path.read_text())
    assert (found["rows_read"], found["merged"]) == (1_003, {"duplicate_row": 2})
    assert found["files"][0]["file"] == "a.parquet"
    assert set(found) == set(ImportReport.__dataclass_fields__)


def test_the_report_is_shown_as_a_table() -> None:
    """People see each count with its reason, where it happened first, and the notes."""
    console = Console(file=io.StringIO(), width=100)
    console.print(_report().table())
    shown = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    for text in ("1,003", "merged: duplicate_row", "a.parquet:3", "visitors", "A word to the"):
        assert text in shown

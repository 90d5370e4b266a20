"""Members as CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
from datetime import UTC
from typing import Any, Final, TextIO

import pandas as pd

from training.audiences.members import COLUMNS

# A spreadsheet takes a cell that begins like this for a formula: an apostrophe makes it text.
# Source: OWASP, CSV Injection.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_DIGITS: Final = 6


def write_members(frame: pd.DataFrame, file: TextIO) -> int:
    """Write rows of `COLUMNS` with a header; gives how many cells were guarded by an apostrophe."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    guarded = 0
    for row in frame[list(COLUMNS)].itertuples(index=False):
        plain = [_text(value) for value in row]
        cells = [f"'{one}" if one.startswith(_FORMULA) else one for one in plain]
        guarded += sum(cell != one for cell, one in zip(cells, plain, strict=True))
        writer.writerow(cells)
    return guarded


def _text(value: Any) -> str:  # noqa: ANN401 - a cell of any column
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{value:.{_DIGITS}f}" if isinstance(value, float) else str(value)

"""What the last import into a folder of events read, merged, dropped and cleaned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.importers.report import REPORT_NAME


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """Rows of the last import into a folder: its days need not be all of the folder's."""

    rows_read: int
    rows_kept: int
    merged: Mapping[str, int]
    dropped: Mapping[str, int]
    cleaned: Mapping[str, int]
    first_day: str | None
    last_day: str | None
    notes: tuple[str, ...]


def read_import(events: Path) -> ImportCounts | None:
    """Read `report.json` beside the day files; None where there is none that can be read."""
    try:
        values = json.loads((events / REPORT_NAME).read_text(encoding="utf-8"))
        days = sorted(values["days"])
        return ImportCounts(
            rows_read=int(values["rows_read"]),
            rows_kept=int(values["rows_kept"]),
            merged=dict(values["merged"]),
            dropped=dict(values["dropped"]),
            cleaned=dict(values["cleaned"]),
            first_day=days[0] if days else None,
            last_day=days[-1] if days else None,
            notes=tuple(values["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None

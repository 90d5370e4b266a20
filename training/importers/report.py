"""What an import read, kept, merged, dropped and cleaned: every row accounted for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.table import Table

REPORT_NAME = "report.json"


@dataclass(frozen=True)
class RowCounts:
    """Rows of a file or of all files.

    `rows_read` equals `rows_kept` plus all of `merged` (rows that repeat another one) and `dropped`
    (rows that can't be used), each by reason; anything else is a `ValueError`. `cleaned` counts
    values of kept rows that were cleared, clipped or cut, by `column.reason`.
    """

    rows_read: int
    rows_kept: int
    merged: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    cleaned: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        gone = sum(self.merged.values()) + sum(self.dropped.values())
        if self.rows_read != self.rows_kept + gone:
            found = f"{self.rows_kept} kept and {gone} merged or dropped"
            raise ValueError(f"{self.rows_read} rows read, but {found}")


@dataclass(frozen=True)
class FileReport(RowCounts):
    """The rows of one file."""

    file: str = ""


@dataclass(frozen=True)
class ImportReport(RowCounts):
    """The rows of all files, and what they hold.

    `visitors` and `sessions` are distinct ids of the rows that were not dropped. The two purchase
    counts are of all rows read, before repeats are merged. `events` maps each type to the events
    written, `days` each shop-day (YYYY-MM-DD) to its events: as many as rows kept, but where rows
    are the lines of orders. `examples` maps each reason to the first row it befell, `file:row`,
    rows counted from 1. `notes` are sentences for the reader.
    """

    visitors: int = 0
    sessions: int = 0
    purchase_events_read: int = 0
    purchase_sessions: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    days: Mapping[str, int] = field(default_factory=dict)
    files: tuple[FileReport, ...] = ()
    examples: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> str:
        """Give the report as JSON text, keys in a fixed order."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    def write(self, folder: Path) -> Path:
        """Write `report.json` into the folder, all of it or nothing."""
        path = folder / REPORT_NAME
        draft = folder / f".{REPORT_NAME}.tmp"
        draft.write_text(self.as_json(), encoding="utf-8")
        return draft.replace(path)

    def table(self) -> Table:
        """Give the report as a table for people."""
        table = Table(title=f"Import of {len(self.files)} files, {len(self.days)} days")
        table.add_column("what")
        table.add_column("number", justify="right")
        table.add_column("first at", overflow="fold")
        table.add_row("rows read", f"{self.rows_read:,}", "")
        table.add_row("rows kept", f"{self.rows_kept:,}", "", end_section=True)
        for name, counts in (
            ("merged", self.merged),
            ("dropped", self.dropped),
            ("cleaned", self.cleaned),
        ):
            for reason, count in counts.items():
                table.add_row(f"{name}: {reason}", f"{count:,}", self.examples.get(reason, ""))
        table.add_section()
        table.add_row("events", f"{sum(self.events.values()):,}", "")
        table.add_row("visitors", f"{self.visitors:,}", "")
        table.add_row("sessions", f"{self.sessions:,}", "")
        table.add_row("purchase events read", f"{self.purchase_events_read:,}", "")
        table.add_row("sessions with a purchase", f"{self.purchase_sessions:,}", "")
        for note in self.notes:
            table.caption = note if table.caption is None else f"{table.caption}\n{note}"
        return table

"""Counts of an import while it runs, by file and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from training.importers.report import FileReport

# What a query gives: file number, reason, how often, smallest row number.
ReasonRow = tuple[int, str, int, int]


# Gives the name of a row, by the number of its file and its own.
RowName = Callable[[int, int], str]


def row_number(_file_no: int, row_no: int) -> str:
    """Name a row by its number."""
    return str(row_no)


class Tally:
    """Adds up what became of the rows of numbered files, and keeps each reason's first row."""

    def __init__(self, files: Sequence[Path], row_name: RowName = row_number) -> None:
        self._files = files
        self._row_name = row_name
        self._read: Counter[int] = Counter()
        self._kept: Counter[int] = Counter()
        self._reasons: dict[str, list[Counter[str]]] = {
            kind: [Counter() for _ in files] for kind in ("merged", "dropped", "cleaned")
        }
        self._events: Counter[str] = Counter()
        self._first: dict[str, tuple[int, int]] = {}

    def add_read(self, file_no: int, rows: int) -> None:
        """Count rows that a file says it holds."""
        self._read[file_no] += rows

    def add_kept(self, counts: Iterable[tuple[int, int]]) -> None:
        """Count rows kept, as pairs of file number and rows."""
        for file_no, rows in counts:
            self._kept[file_no] += rows

    def add_events(self, counts: Iterable[tuple[str, int]]) -> None:
        """Count events written, as pairs of type and number."""
        for event_type, events in counts:
            self._events[event_type] += events

    def add(self, kind: str, rows: Iterable[ReasonRow]) -> None:
        """Count what was `merged`, `dropped` or `cleaned`."""
        for file_no, reason, count, row_no in rows:
            self._reasons[kind][file_no][reason] += count
            place = (file_no, row_no)
            self._first[reason] = min(self._first.get(reason, place), place)

    def files(self) -> tuple[FileReport, ...]:
        """Give each file's report. Raises `ValueError` when a row is not accounted for."""
        return tuple(
            FileReport(
                rows_read=self._read[file_no],
                rows_kept=self._kept[file_no],
                merged=_sorted(self._reasons["merged"][file_no]),
                dropped=_sorted(self._reasons["dropped"][file_no]),
                cleaned=_sorted(self._reasons["cleaned"][file_no]),
                file=str(path),
            )
            for file_no, path in enumerate(self._files)
        )

    def total(self, kind: str) -> dict[str, int]:
        """Give the counts of a kind over all files, by reason."""
        return _sorted(sum(self._reasons[kind], Counter()))

    def events(self) -> dict[str, int]:
        """Give the events written over all files, by type."""
        return _sorted(self._events)

    def examples(self) -> dict[str, str]:
        """Give for each reason the first row it befell, as `file:row`."""
        return {
            reason: f"{self._files[file_no]}:{self._row_name(file_no, row_no)}"
            for reason, (file_no, row_no) in sorted(self._first.items())
        }


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))

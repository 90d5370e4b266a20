"""What an import has to say about days that the folder held before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from micromoment.errors import InvalidDataError
from training.importers.event_folder import EventFolder


def check_replaced(folder: EventFolder, days: Sequence[date]) -> None:
    """Raise `InvalidDataError` naming the days of an import that the folder holds already."""
    replaced = _replaced(folder, days)
    if replaced:
        raise InvalidDataError(
            str(folder.path),
            f"holds {_span(replaced)} already: a day is written as a whole, so import all files"
            " with its rows together and let the import replace days (--replace), or take only"
            " other days (--from, --to)",
        )


def day_notes(folder: EventFolder, days: Sequence[date]) -> tuple[str, ...]:
    """Say in sentences which days are replaced, and which later ones may have to be redone."""
    replaced = _replaced(folder, days)
    later = [day for day in folder.existing_days() if days and day > days[0] and day not in days]
    notes = []
    if replaced:
        notes.append(f"{len(replaced)} days were there already and are replaced: {_span(replaced)}")
    if later:
        notes.append(
            f"{len(later)} days in the folder are later than {days[0]} and keep the numbering of"
            f" their import ({_span(later)}): import them again to number their sessions on"
        )
    return tuple(notes)


def _replaced(folder: EventFolder, days: Sequence[date]) -> list[date]:
    return [day for day in folder.existing_days() if day in days]


def _span(days: Sequence[date]) -> str:
    return f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"

"""Folders of canonical events: one Parquet file per shop-day, `YYYY-MM-DD.parquet`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder
from micromoment.events.schema import EVENT_SCHEMA, key_id_of_schema


@dataclass(frozen=True, slots=True)
class EventDays:
    """The day files of a folder, or of several that follow one another, in order of days.

    `key_id` is the key under which their ids are pseudonyms, empty where they are plain.
    """

    files: dict[date, Path]
    key_id: str = ""

    @property
    def days(self) -> list[date]:
        """The days in order."""
        return list(self.files)

    def between(self, first: date | None = None, last: date | None = None) -> EventDays:
        """Keep the days from `first` to `last`, both included where given."""
        return EventDays(
            {
                day: path
                for day, path in self.files.items()
                if (first is None or day >= first) and (last is None or day <= last)
            },
            self.key_id,
        )

    def joined(self, later: EventDays) -> EventDays:
        """Join two folders' days.

        Raises `InvalidDataError` naming a day that both hold or that has ids under another key.
        """
        shared = [day for day in self.files if day in later.files]
        if shared:
            raise InvalidDataError(str(later.files[shared[0]]), "the history holds this day too")
        if self.files and later.files and self.key_id != later.key_id:
            raise InvalidDataError(
                str(next(iter(later.files.values()))), _other_key(later.key_id, self.key_id)
            )
        return EventDays(dict(sorted({**self.files, **later.files}.items())), later.key_id)

    def encoder(self, ids: IdEncoder | None) -> IdEncoder | None:
        """Give what encodes the ids of these days: `ids` where they are plain, else nothing.

        Pseudonyms are used as they are, with keys or without. Raises `InvalidDataError` where keys
        are given and theirs is not among them.
        """
        if ids is None or not ids.is_on or not self.key_id:
            return ids
        if self.key_id not in ids.key_ids:
            raise InvalidDataError(
                str(next(iter(self.files.values()), "events")),
                f"its ids are pseudonyms under the key {self.key_id}, which the given keys lack",
            )
        return None

    def before(self, day: date, days: int) -> EventDays:
        """Keep the `days` days that end just before `day`."""
        return self.between(day - timedelta(days=days), day - timedelta(days=1))

    def fingerprint(self) -> str:
        """Digest of all files' bytes and names: what a model was trained on."""
        digest = hashlib.sha256()
        for day, path in self.files.items():
            digest.update(day.isoformat().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:32]


def event_days(folder: Path) -> EventDays:
    """List a folder's day files. Raises `InvalidDataError` when there are none or one is broken."""
    if not folder.is_dir():
        raise InvalidDataError(str(folder), "is no folder of events")
    files: dict[date, Path] = {}
    key_id = ""
    for path in sorted(folder.glob("*.parquet")):
        try:
            day = date.fromisoformat(path.stem)
        except ValueError:
            raise InvalidDataError(str(path), "isn't named YYYY-MM-DD.parquet") from None
        found = _check_schema(path)
        if files and found != key_id:
            raise InvalidDataError(str(path), _other_key(found, key_id))
        key_id = found
        files[day] = path
    if not files:
        raise InvalidDataError(str(folder), "holds no YYYY-MM-DD.parquet file of events")
    return EventDays(files, key_id)


def _other_key(found: str, before: str) -> str:
    held, earlier = (f"under the key {one}" if one else "plain" for one in (found, before))
    return (
        f"its ids are {held}, those of earlier days {earlier}: `micromoment rekey` makes them one"
    )


def _check_schema(path: Path) -> str:
    try:
        schema = pq.read_schema(path)
    except (OSError, ValueError) as error:
        raise InvalidDataError(str(path), f"isn't a readable Parquet file: {error}") from None
    for field in EVENT_SCHEMA:
        place = schema.get_field_index(field.name)
        if place < 0:
            raise InvalidDataError(str(path), f"column {field.name} is missing")
        if not schema.field(place).type.equals(field.type):
            found = schema.field(place).type
            raise InvalidDataError(str(path), f"column {field.name} is {found}, not {field.type}")
    return key_id_of_schema(schema)

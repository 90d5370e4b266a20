"""The folder that an import writes: day files, and beside them, hidden, what later days need.

    2020-12-19.parquet ...                       canonical events, one shop-day each
    report.json                                  the last import's report
    .import-state/sessions/2020-12-19.parquet    raw rows of each session so far
    .import-state/purchases/2020-12-19.parquet   purchase events of the day

All files are written into a work folder of the same file system and put in place by renaming at
the end, so that an import that breaks off changes nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.events.schema import key_id_of_schema

STATE_NAME = ".import-state"
# The kind of state that says how far visits came.
SESSIONS = "sessions"
_WORK_NAME = ".import-work"


@dataclass(frozen=True, slots=True)
class EventFolder:
    """A folder of day files, open for one import; `work` holds what is not in place yet.

    `key_id` is the key under which the folder's ids are pseudonyms, empty where they are plain.
    """

    path: Path
    work: Path
    key_id: str = ""

    def under(self, key_id: str) -> EventFolder:
        """Give the folder for ids under a key. Raises `InvalidDataError` where it holds others."""
        folder = replace(self, key_id=key_id)
        _check_key(folder)
        return folder

    def staged_day(self, day: date) -> Path:
        """Where to write a day's events."""
        return _prepared(self.work / "days" / f"{day}.parquet")

    def staged_state(self, kind: str, day: date) -> Path:
        """Where to write a day's state; `kind` is sessions or purchases."""
        return _prepared(self.work / STATE_NAME / kind / f"{day}.parquet")

    def existing_days(self) -> list[date]:
        """List the days that the folder holds already, in order."""
        days = []
        for path in self.path.glob("*.parquet"):
            try:
                days.append(date.fromisoformat(path.stem))
            except ValueError:
                raise InvalidDataError(str(path), "isn't named YYYY-MM-DD.parquet") from None
        return sorted(days)

    def states(self, kind: str, day: date, lookback_days: int) -> list[Path]:
        """List the state files of the `lookback_days` days before `day`, staged ones first."""
        files = {}
        for root in (self.path, self.work):
            for path in (root / STATE_NAME / kind).glob("*.parquet"):
                files[date.fromisoformat(path.stem)] = path
        first = day - timedelta(days=lookback_days)
        return [files[found] for found in sorted(files) if first <= found < day]

    def publish(self) -> None:
        """Put all staged files in place."""
        for source in sorted((self.work / STATE_NAME).glob("*/*.parquet")):
            source.replace(_prepared(self.path / source.relative_to(self.work)))
        for source in sorted((self.work / "days").glob("*.parquet")):
            source.replace(self.path / source.name)


@contextmanager
def event_folder(path: Path, key_id: str | None = "") -> Iterator[EventFolder]:
    """Open a folder for one import, making it if need be; the work folder is gone afterwards.

    Raises `InvalidDataError` when it can't be made, while another import writes it, and where it
    holds events whose ids are stored otherwise than under `key_id` (empty: plainly). None leaves
    that open until `EventFolder.under`.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise _not_writable(path, error) from error
    work = path / _WORK_NAME
    try:
        _lock(descriptor, path)
        shutil.rmtree(work, ignore_errors=True)  # of an import that was killed
        try:
            work.mkdir()
        except OSError as error:
            raise _not_writable(path, error) from error
        try:
            folder = EventFolder(path, work)
            yield folder if key_id is None else folder.under(key_id)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    finally:
        os.close(descriptor)


def _not_writable(path: Path, error: OSError) -> InvalidDataError:
    return InvalidDataError(str(path), f"can't be written: {error.strerror}")


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InvalidDataError(str(path), "another import is writing this folder") from None


def _check_key(folder: EventFolder) -> None:
    for file in sorted(folder.path.glob("????-??-??.parquet")):
        try:
            held = key_id_of_schema(pq.read_schema(file))
        except (OSError, ValueError) as error:
            raise InvalidDataError(str(file), f"isn't a readable Parquet file: {error}") from None
        if held != folder.key_id:
            raise InvalidDataError(
                str(file),
                f"holds {told_ids(held)}, this import writes {told_ids(folder.key_id)}: give the"
                " same keys, bring the folder under the current one (micromoment rekey), or write"
                " into another folder",
            )


def told_ids(key_id: str) -> str:
    """Say how ids are stored."""
    return f"pseudonyms under the key {key_id}" if key_id else "plain ids"


def _prepared(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

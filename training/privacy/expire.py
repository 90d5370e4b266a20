"""Removes what is older than a shop keeps it: events, snapshots, decision points, erasures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.stores.erasure_list import load_erasures
from micromoment.stores.online_erasing import erase_online
from micromoment.stores.parquet_erasing import erase_before
from micromoment.stores.user_view import VISITOR_KEY
from training.importers.event_folder import event_folder

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DECISION_TIME: Final = "feature_time"
_US: Final = timedelta(microseconds=1)


@dataclass(slots=True)
class ExpiryReport:
    """How many days, snapshots, decision points, rows of the online store and erasures went."""

    days: int = 0
    snapshots: int = 0
    decisions: int = 0
    online_rows: int = 0
    erasures: int = 0


def expire(
    before: date, *, events: Path | None = None, workspace: Path | None = None
) -> ExpiryReport:
    """Remove days of events, snapshots and decision points before a day, and erasures noted before.

    A visitor whose last snapshot goes leaves the online store, too. Raises `InvalidDataError` for a
    file that can't be read, and `UserFeaturesUnavailableError` for an online store that does not
    answer.
    """
    report = ExpiryReport()
    if events is not None:
        _expire_events(events, before, report)
    if workspace is not None:
        _expire_workspace(workspace, before, report)
    return report


def _expire_events(folder: Path, before: date, report: ExpiryReport) -> None:
    if not folder.is_dir():
        raise InvalidDataError(str(folder), "is no folder of events")
    with event_folder(folder, None):  # no import may write it meanwhile
        for path in _older(folder.glob("*.parquet"), before):
            path.unlink()
            report.days += 1
        for path in _older(folder.glob(".*/*/*.parquet"), before):
            path.unlink()
        report.erasures += _expire_erasures(folder, before)


def _expire_workspace(workspace: Path, before: date, report: ExpiryReport) -> None:
    snapshots = sorted((workspace / "user_snapshots").glob("*.parquet"))
    old = _older(snapshots, before)
    gone: set[str] = set()
    for path in old:
        gone |= _visitors(path)
    for path in snapshots:
        if path not in old:
            gone -= _visitors(path)
    # The online rows first: afterwards nobody could tell whose they are.
    if gone:
        report.online_rows += erase_online(workspace, sorted(gone))
    for path in old:
        path.unlink()
        report.snapshots += 1
    for path in sorted((workspace / "decisions").glob("*.parquet")):
        report.decisions += erase_before(path, _DECISION_TIME, _start_us(before))
    report.erasures += _expire_erasures(workspace, before)


def _expire_erasures(folder: Path, before: date) -> int:
    erasures = load_erasures(folder)
    dropped = erasures.drop_before(_start_us(before))
    if dropped:
        erasures.save(folder)
    return dropped


def _start_us(day: date) -> int:
    return (datetime.combine(day, datetime.min.time(), UTC) - _EPOCH) // _US


def _visitors(path: Path) -> set[str]:
    column = pq.read_table(path, columns=[VISITOR_KEY])[VISITOR_KEY]
    return {one for one in pc.unique(column).to_pylist() if one}


def _older(paths: Iterable[Path], before: date) -> list[Path]:
    found = []
    for path in paths:
        try:
            day = date.fromisoformat(path.stem)
        except ValueError:
            raise InvalidDataError(str(path), "isn't named YYYY-MM-DD.parquet") from None
        if day < before:
            found.append(path)
    return found

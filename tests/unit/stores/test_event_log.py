"""Events outside a visit: each stored once, or an error."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest

from micromoment.stores.absent import NoEventLog
from micromoment.stores.errors import EventLogMissingError, EventLogUnavailableError
from micromoment.stores.event_log import LoggedEvent, OutsideVisitLog, read_outside_visits
from micromoment.transport.decoding import now_us


def an_event(event_id: str, tenant: str = "default") -> LoggedEvent:
    """Make an event."""
    return LoggedEvent(1_700_000_000_000_000, tenant, "visitor", event_id, b"\x00bytes")


def rows(path: Path) -> list[tuple[str, str, bytes]]:
    """Read the file as training does."""
    with sqlite3.connect(path) as connection:
        query = "SELECT tenant, event_id, event FROM outside_visit_events ORDER BY sequence"
        found = connection.execute(query).fetchall()
    connection.close()
    return found


async def test_an_event_is_stored_once(tmp_path: Path) -> None:
    """A repeated id of one tenant is not stored again; another tenant's is."""
    log = OutsideVisitLog(tmp_path / "new" / "log.sqlite")
    assert await log.append([an_event("e1"), an_event("e2"), an_event("e1")]) == (2, 0)
    assert await log.append([an_event("e2"), an_event("e2", "other")]) == (1, 0)
    await log.close()
    assert rows(tmp_path / "new" / "log.sqlite") == [
        ("default", "e1", b"\x00bytes"),
        ("default", "e2", b"\x00bytes"),
        ("other", "e2", b"\x00bytes"),
    ]


async def test_events_outlive_the_log(tmp_path: Path) -> None:
    """A log opened again on the file knows what was stored."""
    for expected in (1, 0):
        log = OutsideVisitLog(tmp_path / "log.sqlite")
        assert await log.append([an_event("e1")]) == (expected, 0)
        await log.close()


async def test_a_locked_file_is_an_error_and_stores_nothing(tmp_path: Path) -> None:
    """While another process holds the file, events are refused; afterwards they are taken."""
    path = tmp_path / "log.sqlite"
    log = OutsideVisitLog(path, busy_timeout_s=0.05)
    await log.append([an_event("e1")])
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(EventLogUnavailableError):
        await log.append([an_event("e2")])
    other.rollback()
    other.close()
    assert await log.append([an_event("e2")]) == (1, 0)
    await log.close()


async def test_a_path_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    """A log that can't be opened refuses events instead of failing the server's start."""
    log = OutsideVisitLog(tmp_path)
    with pytest.raises(EventLogUnavailableError):
        await log.append([an_event("e1")])
    await log.close()


async def test_without_a_log_events_are_refused() -> None:
    """The error names the setting."""
    with pytest.raises(EventLogMissingError, match="event_log"):
        await NoEventLog().append([an_event("e1")])


async def test_what_is_older_is_removed(tmp_path: Path) -> None:
    """Beyond the retention, when the first event of an hour comes; without one nothing is."""
    path = tmp_path / "log.sqlite"
    log = OutsideVisitLog(path)
    await log.append([an_event("old")])
    await log.append([dataclasses.replace(an_event("new"), received_time_us=now_us())])
    await log.close()
    assert len(list(read_outside_visits(path))) == 2
    log = OutsideVisitLog(path, retention_s=3_600.0)
    await log.append([dataclasses.replace(an_event("newer"), received_time_us=now_us())])
    await log.close()
    assert [event.event_id for _, event in read_outside_visits(path)] == ["new", "newer"]

"""Erasing from the files of a log: nothing stays of whom it was, nothing of others goes."""

from __future__ import annotations

import random
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError
from micromoment.scoring.calls import SessionKey
from micromoment.stores.event_log import (
    OUTSIDE_FILE,
    LoggedEvent,
    OutsideVisitLog,
    read_outside_visits,
)
from micromoment.stores.log_care import check_log
from micromoment.stores.log_erasing import erase_calls
from micromoment.stores.log_rows import LogRow, RowKind, erased_row
from micromoment.stores.log_segments import LogLimits, SegmentWriter, read_rows, segments
from micromoment.stores.secure_sqlite import UNCLEAN, erasing
from micromoment.v1 import log_pb2

LIMITS = LogLimits(segment_bytes=1 << 20, retention_s=1e12, max_bytes=1 << 30)
CANARY = "canary-7f3a"
BODY = log_pb2.LoggedCall(bundle=CANARY * 30).SerializeToString()


def row(session: str, visitor: str, *, canary: bool = False) -> LogRow:
    """Make a call's row; with a canary its body has one, too."""
    body = BODY if canary else log_pb2.LoggedCall(bundle="shop:1").SerializeToString()
    return LogRow(1_000_000, RowKind.WENT_ON, "default", session, visitor, body)


def traces(folder: Path) -> list[str]:
    """Name the files in which the canary is."""
    return [path.name for path in sorted(folder.iterdir()) if CANARY.encode() in path.read_bytes()]


def a_log(folder: Path) -> SegmentWriter:
    """Write four segments, of which three hold the canary; the last goes on being written."""
    writer = SegmentWriter(folder, "commit", LIMITS)
    for part in range(4):
        for number in range(50):
            theirs = part != 2 and number % 10 == 0
            session = f"{CANARY}-s{part}" if theirs else f"other{number}"
            # A session begins with a browser's id and goes on with the user's.
            visitor = (CANARY if number else f"browser{part}") if theirs else "somebody"
            writer.write([row(session, visitor, canary=theirs)])
        if part < 3:
            writer.rotate()
    return writer


def test_nothing_stays_of_the_visitor_in_any_file(tmp_path: Path) -> None:
    """Sessions in which the visitor occurs go whole, from every file, while a writer goes on."""
    writer = a_log(tmp_path)
    assert len(traces(tmp_path)) >= 3
    erased = erase_calls(tmp_path, "default", visitors=[CANARY])
    assert erased.sessions == {f"{CANARY}-s{part}" for part in (0, 1, 3)}
    assert erased.rows == 15
    assert traces(tmp_path) == []
    assert not any(b"browser" in path.read_bytes() for path in tmp_path.iterdir())
    writer.write([row("after", "somebody")])
    writer.close()
    report = check_log(tmp_path)
    assert report.problems == []
    assert sum(file.erased for file in report.files) == 15
    found = [visit for segment in segments(tmp_path) for visit in read_rows(segment)]
    assert [visit.position for visit in found] == list(range(1, 202))
    assert sum(visit.visitor_id == "somebody" for visit in found) == 186
    again = erase_calls(tmp_path, "default", visitors=[CANARY])
    assert (again.sessions, again.rows) == (frozenset(), 0)


def test_another_tenant_keeps_its_rows(tmp_path: Path) -> None:
    """The same id of another tenant is somebody else."""
    writer = SegmentWriter(tmp_path, "commit", LIMITS)
    writer.write([row("s", "v"), row("s", "v")._replace(tenant="other")])
    assert erase_calls(tmp_path, "other", visitors=["v"]).rows == 1
    writer.close()
    assert [visit.tenant for visit in read_rows(segments(tmp_path)[0])] == ["default", ""]


def test_sessions_are_erased_by_their_id(tmp_path: Path) -> None:
    """Also those of nobody: the empty id is nobody's, and erases nothing."""
    writer = SegmentWriter(tmp_path, "commit", LIMITS)
    writer.write([row("s1", ""), row("s2", "")])
    assert erase_calls(tmp_path, "default", visitors=[""]).rows == 0
    assert erase_calls(tmp_path, "default", sessions=["s2"]).rows == 1
    writer.close()
    assert [visit.session_id for visit in read_rows(segments(tmp_path)[0])] == ["s1", ""]


def test_what_was_broken_off_is_cleaned(tmp_path: Path) -> None:
    """Rows that went before a crash left bytes behind: the next erasure removes those, too."""
    writer = a_log(tmp_path)
    writer.close()
    path = segments(tmp_path)[0]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {UNCLEAN}")
        connection.execute("PRAGMA secure_delete = 0")
        connection.execute("DELETE FROM calls WHERE session_id LIKE 'canary%'")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.name in traces(tmp_path)
    erase_calls(tmp_path, "default", visitors=["nobody"])
    assert path.name not in traces(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (0,)


def test_many_neighbours_leave_nothing(tmp_path: Path) -> None:
    """Blank rows are small, so pages are joined: what was moved for that is gone as well."""
    writer = SegmentWriter(tmp_path, "commit", LIMITS)
    chance = random.Random(3)
    for number in range(3_000):
        theirs = number % 7 != 0
        body = log_pb2.LoggedCall(bundle=(CANARY if theirs else "x") * chance.randint(1, 60))
        session = f"{CANARY}-{number}" if theirs else f"other{number}"
        visitor = CANARY if theirs else "somebody"
        writer.write([row(session, visitor)._replace(body=body.SerializeToString())])
    writer.close()
    assert erase_calls(tmp_path, "default", visitors=[CANARY]).rows == 2_571
    assert traces(tmp_path) == []
    assert check_log(tmp_path).problems == []


def test_a_reader_that_keeps_bytes_is_an_error(tmp_path: Path) -> None:
    """As long as somebody reads what was there before, erasing does not say that it is gone."""
    writer = a_log(tmp_path)
    path = segments(tmp_path)[-1]
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calls").fetchone()
        with pytest.raises(sqlite3.OperationalError), erasing(path, wait_s=0.2) as connection:
            connection.execute("UPDATE calls SET body = x''")
    writer.close()


def test_a_writer_goes_on_while_a_reader_is_waited_for(tmp_path: Path) -> None:
    """Waiting for a reader never keeps rows from being written for as long as a writer waits."""
    writer = a_log(tmp_path)
    path = segments(tmp_path)[-1]
    written, failures = 0, []

    def erase() -> None:
        try:
            with erasing(path, wait_s=3.0) as connection:
                connection.execute("UPDATE calls SET body = x'' WHERE session_id = 'other1'")
        except sqlite3.OperationalError as error:
            failures.append(error)

    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM calls").fetchone()
        thread = threading.Thread(target=erase)
        thread.start()
        while thread.is_alive():
            writer.write([row("during", "somebody")])
            written += 1
        thread.join()
    assert len(failures) == 1
    assert written > 50
    writer.close()


def test_a_marked_session_is_told(tmp_path: Path) -> None:
    """A row of its own says that a session was erased; the file's format says so to old readers."""
    writer = SegmentWriter(tmp_path, "commit", LIMITS)
    writer.write([row("s1", "v"), erased_row(5, SessionKey("default", "s1"))])
    writer.close()
    path = segments(tmp_path)[0]
    assert [visit.kind for visit in read_rows(path)] == [RowKind.WENT_ON, RowKind.ERASED]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        connection.execute("PRAGMA user_version = 3")
    with pytest.raises(InvalidDataError):
        list(read_rows(path))


async def test_events_outside_visits_go(tmp_path: Path) -> None:
    """Those of the visitor, also from what SQLite keeps beside the file; others' stay."""
    path = tmp_path / OUTSIDE_FILE
    log = OutsideVisitLog(path)
    events = [
        LoggedEvent(1, "default", CANARY if number % 3 == 0 else "v", f"{CANARY}-{number}", b"e")
        if number % 3 == 0
        else LoggedEvent(1, "default", "v", f"e{number}", b"e")
        for number in range(300)
    ]
    await log.append(events)
    assert traces(tmp_path)
    assert await log.erase("default", [CANARY]) == 100
    assert traces(tmp_path) == []
    assert await log.erase("default", [CANARY]) == 0
    assert len(list(read_outside_visits(path))) == 200
    await log.close()

"""The event log as the server uses it: groups, waiting, failing, gaps."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from micromoment.scoring.calls import SessionKey
from micromoment.stores import log_writer, visit_log
from micromoment.stores.durability import Durability
from micromoment.stores.errors import EventLogUnavailableError
from micromoment.stores.log_rows import LoggedVisit, LogRow, RowKind, erased_row
from micromoment.stores.log_segments import (
    LogLimits,
    SegmentWriter,
    connect,
    read_rows,
    segment_bytes,
    segments,
)
from micromoment.stores.visit_log import GAP_FILE, SqliteVisitLog
from micromoment.transport.keeping import settled
from tests.support.log_rows import a_row

LIMITS = LogLimits(segment_bytes=1 << 20, retention_s=1e12, max_bytes=1 << 30)


class Observed:
    """What the log told."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.lost = 0

    def log_written(self, rows: int, seconds: float) -> None:
        """Remember a group."""
        assert seconds >= 0
        self.groups.append(rows)

    def log_lost(self, rows: int) -> None:
        """Count them."""
        self.lost += rows


class Disk:
    """Decides whether writing works; `hold` lets a write wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        self.hold = threading.Event()
        self.hold.set()
        write = SegmentWriter.write

        def maybe(writer: SegmentWriter, rows: Sequence[LogRow]) -> None:
            self.hold.wait(5)
            if self.is_full:
                raise sqlite3.OperationalError("database or disk is full")
            write(writer, rows)

        monkeypatch.setattr(SegmentWriter, "write", maybe)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk that works; tried again at once after a failure."""
    monkeypatch.setattr(visit_log, "_RETRY_S", 0.0)
    return Disk(monkeypatch)


def a_log(folder: Path, durability: Durability = "commit") -> tuple[SqliteVisitLog, Observed]:
    """Open a log."""
    observed = Observed()
    log = SqliteVisitLog(folder, durability, LIMITS, observed, clock_us=lambda: 7)
    return log, observed


def rows(folder: Path) -> list[LoggedVisit]:
    """Read all rows."""
    return [visit for segment in segments(folder) for visit in read_rows(segment)]


async def kept(log: SqliteVisitLog) -> bool:
    """Wait for what was appended so far."""
    barrier = log.barrier()
    return barrier if isinstance(barrier, bool) else await asyncio.wait_for(barrier, 5)


async def fill_segments(folder: Path) -> None:
    """Write 50 rows, one after the other, to a log of whose segments each is full at once."""
    limits = LogLimits(segment_bytes=1, retention_s=1e12, max_bytes=1 << 30)
    log = SqliteVisitLog(folder, "commit", limits, Observed(), clock_us=lambda: 7)
    for number in range(50):
        log.append(a_row(f"s{number}"))
        assert await kept(log)
        await asyncio.sleep(0.01)
    await log.close()


async def test_what_is_kept_is_written(tmp_path: Path) -> None:
    """Behind the barrier every row is in the file, in order; without rows nothing is waited for."""
    log, observed = a_log(tmp_path)
    assert log.barrier() is True
    for number in range(10):
        log.append(a_row(f"s{number}"))
    assert log.rows_waiting == 10
    assert await kept(log)
    assert [visit.session_id for visit in rows(tmp_path)] == [f"s{n}" for n in range(10)]
    assert (log.rows_waiting, log.lag_s, log.last_position) == (0, 0.0, 10)
    assert observed.groups == [10]
    await log.close()


async def test_what_comes_during_a_write_goes_together(tmp_path: Path, disk: Disk) -> None:
    """One transaction takes all that came while the one before was written."""
    log, observed = a_log(tmp_path)
    disk.hold.clear()
    log.append(a_row("first"))
    await asyncio.sleep(0.05)
    for number in range(20):
        log.append(a_row(f"s{number}"))
        await asyncio.sleep(0)
    assert log.lag_s > 0
    disk.hold.set()
    assert await kept(log)
    assert observed.groups == [1, 20]
    await log.close()


async def test_a_cancelled_caller_takes_nothing_from_others(tmp_path: Path, disk: Disk) -> None:
    """Each waits by itself."""
    log, _ = a_log(tmp_path)
    disk.hold.clear()
    log.append(a_row("s"))
    first, second = log.barrier(), log.barrier()
    assert not isinstance(first, bool)
    assert not isinstance(second, bool)
    first.cancel()
    disk.hold.set()
    assert await asyncio.wait_for(second, 5)
    await log.close()


async def test_async_waits_for_nothing(tmp_path: Path, disk: Disk) -> None:
    """Callers go on; closing writes what waits."""
    log, observed = a_log(tmp_path, "async")
    for number in range(5):
        log.append(a_row(f"s{number}"))
        assert log.barrier() is True
    assert not rows(tmp_path)
    await log.close()
    assert len(rows(tmp_path)) == 5
    assert observed.groups == [5]
    assert disk.hold.is_set()


async def test_a_full_disk_leaves_a_gap_for_each_session(tmp_path: Path, disk: Disk) -> None:
    """Rows are dropped and said to be, and a gap comes before what is logged afterwards."""
    log, observed = a_log(tmp_path)
    log.append(a_row("whole"))
    assert await kept(log)
    disk.is_full = True
    for _ in range(3):
        log.append(a_row("broken"))
        assert not await kept(log)
    taking = [log.is_taking]
    assert (tmp_path / GAP_FILE).exists()
    disk.is_full = False
    log.append(a_row("broken"))
    assert await kept(log)
    assert not (tmp_path / GAP_FILE).exists()
    assert [(visit.session_id, visit.kind) for visit in rows(tmp_path)] == [
        ("whole", RowKind.WENT_ON),
        ("broken", RowKind.GAP),
        ("broken", RowKind.WENT_ON),
    ]
    assert [*taking, log.is_taking] == [False, True]
    assert observed.lost == 3
    await log.close()


async def test_closing_says_what_is_missing(tmp_path: Path, disk: Disk) -> None:
    """A gap is written at the end if no row came after it."""
    log, _ = a_log(tmp_path)
    disk.is_full = True
    log.append(a_row("broken"))
    assert not await kept(log)
    disk.is_full = False
    await log.close()
    assert [(visit.session_id, visit.kind) for visit in rows(tmp_path)] == [("broken", RowKind.GAP)]


async def test_a_gap_that_was_never_written_is_everybodys(tmp_path: Path, disk: Disk) -> None:
    """After a crash with a full disk the next start writes a gap without a session."""
    log, _ = a_log(tmp_path)
    disk.is_full = True
    log.append(a_row("broken"))
    assert not await kept(log)
    await log.close()
    disk.is_full = False
    again, _ = a_log(tmp_path)
    assert [(visit.session_id, visit.kind) for visit in rows(tmp_path)] == [("", RowKind.GAP)]
    assert not (tmp_path / GAP_FILE).exists()
    await again.close()


async def test_a_gap_is_said_without_a_further_call(tmp_path: Path, disk: Disk) -> None:
    """A log that nobody calls finds out by itself that it can be written again."""
    log, _ = a_log(tmp_path)
    disk.is_full = True
    log.append(a_row("broken"))
    assert not await kept(log)
    disk.is_full = False
    for _ in range(500):
        await asyncio.sleep(0.01)
        if log.is_taking:
            break
    assert [(visit.session_id, visit.kind) for visit in rows(tmp_path)] == [("broken", RowKind.GAP)]
    await log.close()


async def test_a_log_that_is_removed_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is logged after that is there, behind a gap that is everybody's."""
    monkeypatch.setattr(log_writer, "UPKEEP_S", 0.01)
    folder = tmp_path / "log"
    log, _ = a_log(folder)
    log.append(a_row("before"))
    assert await kept(log)
    shutil.rmtree(folder)
    await asyncio.sleep(0.2)
    log.append(a_row("after"))
    assert await kept(log)
    await log.close()
    found = [(visit.position, visit.session_id, visit.kind) for visit in rows(folder)]
    assert found == [(2, "", RowKind.GAP), (3, "after", RowKind.WENT_ON)]


async def test_more_rows_than_may_wait_are_dropped(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that hangs does not fill the memory."""
    monkeypatch.setattr(visit_log, "MAX_WAITING", 10)
    log, observed = a_log(tmp_path, "async")
    disk.hold.clear()
    for _ in range(15):
        log.append(a_row("s"))
    assert log.rows_waiting == 10
    assert observed.lost == 5
    assert log.barrier() is False
    disk.hold.set()
    await log.close()
    kinds = [visit.kind for visit in rows(tmp_path)]
    assert kinds == [RowKind.GAP, *[RowKind.WENT_ON] * 10]


async def test_a_full_segment_gives_way_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log goes on in a new file without losing its place."""
    monkeypatch.setattr(log_writer, "UPKEEP_S", 0.01)
    await fill_segments(tmp_path)
    assert len(segments(tmp_path)) > 1
    assert [visit.position for visit in rows(tmp_path)] == list(range(1, 51))


async def test_upkeep_outlives_a_file_that_is_gone_as_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed look at a file ends neither the upkeep nor later changes of segment."""
    monkeypatch.setattr(log_writer, "UPKEEP_S", 0.01)
    look = SegmentWriter.is_full
    looks: list[SegmentWriter] = []

    def first_in_vain(writer: SegmentWriter) -> bool:
        looks.append(writer)
        if len(looks) == 1:
            raise FileNotFoundError("visits-1.sqlite-wal")
        return look(writer)

    monkeypatch.setattr(SegmentWriter, "is_full", first_in_vain)
    await fill_segments(tmp_path)
    assert len(looks) > 1
    assert len(segments(tmp_path)) > 1


def test_the_size_of_a_segment_may_be_asked_while_it_is_closed(tmp_path: Path) -> None:
    """What SQLite keeps beside a file goes with its last connection; a size never fails of it."""
    file = tmp_path / "visits-1.sqlite"
    ended = threading.Event()

    def open_and_close() -> None:
        while not ended.is_set():
            with closing(connect(file, create=True)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("CREATE TABLE IF NOT EXISTS calls (position INTEGER)")

    beside = threading.Thread(target=open_and_close)
    beside.start()
    try:
        sizes = [segment_bytes(file) for _ in range(20_000)]
    finally:
        ended.set()
        beside.join()
    assert max(sizes) > 0
    file.unlink()
    assert segment_bytes(file) == 0


async def test_rows_are_erased_while_others_come(tmp_path: Path) -> None:
    """Those that still wait as well; the log goes on in another file if the newest has some."""
    log, _ = a_log(tmp_path)
    for number in range(20):
        log.append(a_row(f"s{number % 4}"))
    assert await log.sessions_of("default", ["nobody"]) == frozenset()
    erased = await log.erase("default", sessions=["s1"])
    assert erased.rows == 5
    assert len(segments(tmp_path)) == 2
    log.append(a_row("s2"))
    assert await kept(log)
    assert (await log.erase("default", sessions=["s1"])).rows == 0
    assert len(segments(tmp_path)) == 2
    await log.close()
    found = rows(tmp_path)
    assert [visit.position for visit in found] == list(range(1, 22))
    assert sum(visit.kind is RowKind.ERASED for visit in found) == 5


async def test_a_log_that_fails_is_not_erased_from(tmp_path: Path, disk: Disk) -> None:
    """What waits can't be known, so the caller must ask again."""
    log, _ = a_log(tmp_path)
    log.append(a_row("s1"))
    assert await kept(log)
    disk.is_full = True
    log.append(a_row("s2"))
    with pytest.raises(EventLogUnavailableError):
        await log.erase("default", sessions=["s1"])
    disk.is_full = False
    await asyncio.sleep(1.2)
    assert (await log.erase("default", sessions=["s1"])).rows == 1
    await log.close()


async def test_a_lost_withdrawal_is_said_later(tmp_path: Path, disk: Disk) -> None:
    """A row that says that a session is erased is no gap: it is written as soon as that works."""
    log, _ = a_log(tmp_path)
    disk.is_full = True
    log.append(erased_row(7, SessionKey("default", "withdrawn")))
    log.append(a_row("other"))
    assert await settled(log.barrier()) is False
    disk.is_full = False
    log.append(a_row("next"))
    assert await settled(log.barrier())
    await log.close()
    kinds = {row.session_id: row.kind for row in rows(tmp_path)}
    assert kinds == {
        "withdrawn": RowKind.ERASED,
        "other": RowKind.GAP,
        "next": RowKind.WENT_ON,
    }

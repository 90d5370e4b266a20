"""The threads of the event log end by no caller that gives up, and by no mistake of ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from micromoment.stores import log_writer, visit_log
from micromoment.stores.log_rows import LoggedVisit, LogRow, RowKind
from micromoment.stores.log_segments import LogLimits, SegmentWriter, read_rows, segments
from micromoment.stores.visit_log import SqliteVisitLog
from micromoment.transport.keeping import settled
from tests.support.log_rows import a_row

LIMITS = LogLimits(segment_bytes=1 << 20, retention_s=1e12, max_bytes=1 << 30)


class Observed:
    """How many rows were lost."""

    lost = 0

    def log_written(self, rows: int, seconds: float) -> None:
        """Take no note."""

    def log_lost(self, rows: int) -> None:
        """Count them."""
        self.lost += rows


def a_log(folder: Path) -> tuple[SqliteVisitLog, Observed]:
    """Open a log that waits for each row, and what it tells."""
    observed = Observed()
    return SqliteVisitLog(folder, "commit", LIMITS, observed, clock_us=lambda: 9), observed


def rows(folder: Path) -> list[LoggedVisit]:
    """Read all rows."""
    return [row for segment in segments(folder) for row in read_rows(segment)]


async def test_an_erasure_that_is_given_up_ends_no_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller may be cancelled before the file is begun that it waits for, or while it is."""
    log, _ = a_log(tmp_path)
    rotate, began, may = SegmentWriter.rotate, threading.Event(), threading.Event()

    def held_up(writer: SegmentWriter) -> None:
        began.set()
        may.wait(10)
        rotate(writer)

    monkeypatch.setattr(SegmentWriter, "rotate", held_up)
    log.append(a_row("s1", kind=RowKind.BEGAN))
    assert await settled(log.barrier())
    erasures = [asyncio.create_task(log._writer.go_on_in_another()) for _ in range(2)]
    assert await asyncio.to_thread(began.wait, 10)
    for one in erasures:
        one.cancel()
    await asyncio.wait(erasures)
    may.set()
    log.append(a_row("s2", kind=RowKind.BEGAN))
    async with asyncio.timeout(10):
        assert await settled(log.barrier())
    await log.close()
    assert [row.session_id for row in rows(tmp_path)] == ["s1", "s2"]


async def test_a_mistake_of_ours_ends_no_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as a failure of the log, which says what it lacks and goes on."""
    monkeypatch.setattr(visit_log, "_RETRY_S", 0.0)
    log, observed = a_log(tmp_path)
    write = SegmentWriter.write
    mistakes = [TypeError("a mistake")]

    def mistaken(writer: SegmentWriter, rows: Sequence[LogRow]) -> None:
        if mistakes:
            raise mistakes.pop()
        write(writer, rows)

    monkeypatch.setattr(SegmentWriter, "write", mistaken)
    log.append(a_row("s1", kind=RowKind.BEGAN))
    assert not await settled(log.barrier())
    log.append(a_row("s2", kind=RowKind.BEGAN))
    assert await settled(log.barrier())
    await log.close()
    assert observed.lost == 1
    assert [(row.kind, row.session_id) for row in rows(tmp_path)] == [
        (RowKind.GAP, "s1"),
        (RowKind.BEGAN, "s2"),
    ]


async def test_upkeep_outlives_what_it_does_not_expect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it can't look whether the file is there; it says so."""
    monkeypatch.setattr(log_writer, "UPKEEP_S", 0.01)
    looks = threading.Semaphore(0)

    def denied(_: SegmentWriter) -> bool:
        looks.release()
        raise PermissionError("no")

    monkeypatch.setattr(SegmentWriter, "is_there", denied)
    log, _ = a_log(tmp_path)
    log.append(a_row("s1", kind=RowKind.BEGAN))
    assert await settled(log.barrier())
    for _ in range(3):
        assert await asyncio.to_thread(looks.acquire, timeout=10)
    await log.close()

"""The event log's files: order, rotation, retention, damage."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.stores.log_rows import RowKind
from micromoment.stores.log_segments import (
    LogFolder,
    LogLimits,
    SegmentWriter,
    prune,
    read_heads,
    read_rows,
    segments,
)
from tests.support.log_rows import a_row

LIMITS = LogLimits(segment_bytes=65_536, retention_s=100.0, max_bytes=1 << 30)


def a_log(folder: Path, rows: int, per_segment: int, limits: LogLimits = LIMITS) -> None:
    """Write rows, one a second from 1,000 s on, in segments of so many."""
    writer = SegmentWriter(folder, "commit", limits)
    for number in range(rows):
        if number and number % per_segment == 0:
            writer.rotate()
        writer.write([a_row(f"s{number % 3}", received_s=1_000 + number)])
    writer.close()


@pytest.mark.parametrize("together", [1, 3, 64, 65, 200])
def test_rows_keep_their_order_over_segments(tmp_path: Path, together: int) -> None:
    """Places count on over segments and over writers, however rows come together."""
    rows = [a_row(f"s{number}") for number in range(300)]
    for first in range(0, len(rows), together):
        writer = SegmentWriter(tmp_path, "commit", LIMITS)
        writer.write(rows[first : first + together])
        if first % 2:
            writer.rotate()
        writer.close()
    found = [visit for segment in segments(tmp_path) for visit in read_rows(segment)]
    assert [visit.position for visit in found] == list(range(1, 301))
    assert [visit.session_id for visit in found] == [row.session_id for row in rows]
    assert found[0].body == b"body"
    assert found[0].kind is RowKind.WENT_ON


def test_rows_are_read_backwards_and_from_a_place(tmp_path: Path) -> None:
    """Heads come the last first; reading begins after a place and keeps to given sessions."""
    a_log(tmp_path, rows=6, per_segment=6)
    (segment,) = segments(tmp_path)
    assert [head[0] for head in read_heads(segment)] == [6, 5, 4, 3, 2, 1]
    found = read_rows(segment, after=2, sessions=frozenset({"s2"}))
    assert [visit.position for visit in found] == [3, 6]


def test_a_group_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A statement that fails in the middle of a large group leaves no row of it."""
    writer = SegmentWriter(tmp_path, "commit", LIMITS)
    bad = a_row("s")._replace(body=None)  # type: ignore[arg-type] # a row that SQLite refuses
    with pytest.raises(sqlite3.IntegrityError):
        writer.write([*[a_row("s")] * 100, bad])
    writer.write([a_row("after")])
    writer.close()
    assert [visit.session_id for visit in read_rows(segments(tmp_path)[0])] == ["after"]


def test_old_segments_go(tmp_path: Path) -> None:
    """By the age of their last row; the newest stays however old it is."""
    a_log(tmp_path, rows=9, per_segment=3)
    assert prune(tmp_path, LIMITS, now=1_000 + 2 + 100.5) == 1
    assert [segment.name[-8:] for segment in segments(tmp_path)] == ["4.sqlite", "7.sqlite"]
    assert prune(tmp_path, LIMITS, now=1e9) == 1
    assert len(segments(tmp_path)) == 1


def test_a_log_that_takes_too_much_room_loses_its_oldest(tmp_path: Path) -> None:
    """Segments go from the oldest on until the rest fits."""
    a_log(tmp_path, rows=9, per_segment=3)
    size = segments(tmp_path)[0].stat().st_size
    limits = LogLimits(65_536, 1e12, max_bytes=2 * size + size // 2)
    assert prune(tmp_path, limits, now=2_000) == 1
    assert [segment.name[-8:] for segment in segments(tmp_path)] == ["4.sqlite", "7.sqlite"]


def test_merging_shrinks_what_waits(tmp_path: Path) -> None:
    """After a checkpoint the next write begins SQLite's own log anew."""
    writer = SegmentWriter(tmp_path, "commit", LIMITS)
    (segment,) = segments(tmp_path)
    waiting = segment.with_name(f"{segment.name}-wal")
    for _ in range(50):
        writer.write([a_row("s")] * 64)
    before = waiting.stat().st_size
    for _ in range(50):
        writer.checkpoint()
        writer.write([a_row("s")] * 64)
    assert waiting.stat().st_size == before
    assert writer.is_full()
    writer.close()


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second one is refused by the setting's name; after the first has gone it is let in."""
    first = LogFolder(tmp_path)
    with pytest.raises(InvalidSettingError, match=r"event_log.*another server"):
        LogFolder(tmp_path)
    first.close()
    LogFolder(tmp_path).close()


def test_what_is_no_segment_is_named(tmp_path: Path) -> None:
    """Damage is an error with the file's name, also where another format was written."""
    a_log(tmp_path, rows=1, per_segment=1)
    (segment,) = segments(tmp_path)
    with sqlite3.connect(segment) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(InvalidDataError, match=r"visits-0+1\.sqlite.*format 9"):
        list(read_rows(segment))
    segment.write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(InvalidDataError, match=r"visits-0+1\.sqlite"):
        list(read_rows(segment))
    writer = SegmentWriter(tmp_path, "commit", LIMITS)
    writer.write([a_row("s")])
    writer.close()
    assert not writer.is_whole
    assert [visit.session_id for visit in read_rows(segments(tmp_path)[1])] == ["s"]


def test_a_log_is_read_where_nothing_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed log in a folder that is read only, as a back-up may be."""
    a_log(tmp_path, rows=2, per_segment=2)
    (segment,) = segments(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # mode bits don't hold a root back
    assert len(list(read_rows(segment))) == 2
    assert [path.name for path in tmp_path.iterdir()] == [segment.name]


def test_a_segment_that_was_only_just_made_holds_nothing(tmp_path: Path) -> None:
    """Who reads while the writer goes on in a new file may find it without its table."""
    (tmp_path / "visits-00000000000000000001.sqlite").touch()
    (segment,) = segments(tmp_path)
    assert list(read_rows(segment)) == []

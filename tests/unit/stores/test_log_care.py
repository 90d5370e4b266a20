"""A log is checked, copied while it is written, and brought back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError
from micromoment.stores.log_care import back_up_log, check_log, restore_log
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.stores.log_segments import LogLimits, SegmentWriter, connect, read_rows, segments
from tests.support.log_rows import a_visit, as_rows

LIMITS = LogLimits(segment_bytes=1 << 16, retention_s=1e12, max_bytes=1 << 30)


def write(folder: Path, rows: int, *, sessions: int = 10, first: int = 1) -> None:
    """Append calls of some sessions, in as many segments as they take."""
    folder.mkdir(exist_ok=True)
    writer = SegmentWriter(folder, "commit", LIMITS)
    for number in range(first, first + rows):
        kind = RowKind.BEGAN if number <= sessions else RowKind.WENT_ON
        name = f"s{number % sessions}"
        writer.write(as_rows([a_visit(0, name, f"e{number}", kind=kind, received_s=number)]))
        if number % 50 == 0:
            writer.rotate()
    writer.close()


def rows(folder: Path) -> list[LoggedVisit]:
    """Read all rows."""
    return [visit for segment in segments(folder) for visit in read_rows(segment)]


def change(segment: Path, statement: str) -> None:
    """Damage a segment."""
    connection = connect(segment)
    connection.execute(statement)
    connection.close()


def test_a_whole_log_is_told(tmp_path: Path) -> None:
    """Rows, events, sessions, gaps and the span of time, by file and over all of them."""
    write(tmp_path / "log", 120)
    writer = SegmentWriter(tmp_path / "log", "commit", LIMITS)
    writer.write(as_rows([a_visit(0, "s1", kind=RowKind.GAP, received_s=500)]))
    writer.close()
    report = check_log(tmp_path / "log")
    assert report.is_whole
    assert [one.rows for one in report.files] == [50, 50, 20, 1]
    assert sum(one.events for one in report.files) == 120
    assert sum(one.gaps for one in report.files) == 1
    assert report.sessions == 10
    assert report.files[-1].last_us - report.files[0].first_us == 499_000_000


def cut(segment: Path) -> None:
    """Lose the second half of a file."""
    data = segment.read_bytes()
    segment.write_bytes(data[: len(data) // 2])


def garble(segment: Path) -> None:
    """Overwrite a page of a file."""
    data = bytearray(segment.read_bytes())
    data[4_096:8_192] = b"\x5a" * 4_096
    segment.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda one: change(one, "DELETE FROM calls WHERE position = 70"), "row 70 is missing"),
        (lambda one: change(one, "DELETE FROM calls WHERE position = 51"), "row 51 is missing"),
        (
            lambda one: change(one, "UPDATE calls SET body = x'ffff' WHERE position = 60"),
            "row 60 can't be read",
        ),
        (lambda one: change(one, "DELETE FROM calls WHERE position = 100"), "begins at row 101"),
        (Path.unlink, "begins at row 101"),
        (cut, "visits-00000000000000000051"),
        (garble, "visits-00000000000000000051"),
    ],
    ids=["row", "first row", "body", "last row", "segment", "cut", "garbled"],
)
def test_damage_is_found_and_named(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    """A row or a file that is gone, a call or a page that can't be read; nothing is restored."""
    write(tmp_path / "log", 120)
    damage(segments(tmp_path / "log")[1])
    report = check_log(tmp_path / "log")
    assert not report.is_whole
    assert any(said in problem for problem in report.problems), report.problems
    with pytest.raises(InvalidDataError, match="is not whole"):
        restore_log(tmp_path / "log", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_copy_is_consistent_while_rows_are_written(tmp_path: Path) -> None:
    """It holds all rows up to one of them, among them all that were written before it began."""
    write(tmp_path / "log", 300)
    ended = threading.Event()
    written = [300]

    def go_on() -> None:
        writer = SegmentWriter(tmp_path / "log", "commit", LIMITS)
        while not ended.is_set() and written[0] < 20_000:
            number = written[0] + 1
            visit = a_visit(0, f"s{number % 10}", f"e{number}", received_s=number)
            writer.write(as_rows([visit]))
            written[0] = number
            if number % 50 == 0:
                writer.rotate()
        writer.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for number in range(3):
            before = written[0]
            report = back_up_log(tmp_path / "log", tmp_path / f"copy{number}")
            assert report.is_whole, report.problems
            copied = [visit.position for visit in rows(tmp_path / f"copy{number}")]
            assert copied == list(range(1, len(copied) + 1))
            assert len(copied) >= before
    finally:
        ended.set()
        thread.join()


def test_a_copy_is_brought_back_and_goes_on(tmp_path: Path) -> None:
    """The rows are the same, and a writer appends after them."""
    write(tmp_path / "log", 120)
    back_up_log(tmp_path / "log", tmp_path / "copy")
    restore_log(tmp_path / "copy", tmp_path / "back")
    assert rows(tmp_path / "back") == rows(tmp_path / "log")
    write(tmp_path / "back", 5, first=121)
    assert check_log(tmp_path / "back").is_whole
    assert len(rows(tmp_path / "back")) == 125


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    """A copy never mixes with another; a folder without a log is no source."""
    write(tmp_path / "log", 5)
    with pytest.raises(InvalidDataError, match="empty folder"):
        back_up_log(tmp_path / "log", tmp_path / "log")
    with pytest.raises(InvalidDataError, match="no event log"):
        back_up_log(tmp_path / "nowhere", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    with pytest.raises(InvalidDataError, match="no event log"):
        check_log(tmp_path / "nowhere")

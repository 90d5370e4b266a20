"""Folders of canonical events."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError
from tests.support.events import an_event, to_table
from training.event_files import EventDays, event_days

ROW = to_table([an_event()])


def write(folder: Path, *days: int, table: pa.Table = ROW) -> Path:
    """Write files for these days of May 2024; gives the folder."""
    folder.mkdir(exist_ok=True)
    for day in days:
        pq.write_table(table, folder / f"2024-05-{day:02}.parquet")
    return folder


def numbers(days: EventDays) -> list[int]:
    """Give the days of the month."""
    return [day.day for day in days.days]


def test_days_in_order(tmp_path: Path) -> None:
    """Files are listed by day, whatever order they were written in; other files are left alone."""
    folder = write(tmp_path / "e", 9, 1, 10)
    (folder / "report.json").write_text("{}")
    assert numbers(event_days(folder)) == [1, 9, 10]


def test_some_of_the_days(tmp_path: Path) -> None:
    """Both ends are included; the days before a day leave it out."""
    days = event_days(write(tmp_path / "e", 1, 2, 3, 5, 8))
    assert numbers(days.between(date(2024, 5, 2), date(2024, 5, 5))) == [2, 3, 5]
    assert numbers(days.between(last=date(2024, 5, 4))) == [1, 2, 3]
    assert numbers(days.between(first=date(2024, 5, 4))) == [5, 8]
    assert numbers(days.before(date(2024, 5, 5), 3)) == [2, 3]
    assert numbers(days.between()) == [1, 2, 3, 5, 8]


def test_history_and_later_days(tmp_path: Path) -> None:
    """Two folders join to one history; a day that both hold is refused by its file."""
    history = event_days(write(tmp_path / "h", 3, 4))
    later = event_days(write(tmp_path / "l", 1, 5))
    assert numbers(history.joined(later)) == [1, 3, 4, 5]
    both = event_days(write(tmp_path / "b", 4))
    with pytest.raises(InvalidDataError, match=r"b/2024-05-04\.parquet: the history holds this"):
        history.joined(both)


def test_the_fingerprint_follows_content_and_days(tmp_path: Path) -> None:
    """Where the files lie is no content; what they hold and for which day is."""
    one = event_days(write(tmp_path / "a", 1, 2)).fingerprint()
    assert event_days(write(tmp_path / "b", 1, 2)).fingerprint() == one
    assert event_days(write(tmp_path / "c", 1, 3)).fingerprint() != one
    other = to_table([an_event(event_id="another")])
    assert event_days(write(tmp_path / "d", 1, 2, table=other)).fingerprint() != one


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    """The message names the folder."""
    with pytest.raises(InvalidDataError, match=r"nowhere: is no folder of events"):
        event_days(tmp_path / "nowhere")


def test_a_folder_without_days(tmp_path: Path) -> None:
    """An empty folder is no history of zero days."""
    with pytest.raises(InvalidDataError, match=r"holds no YYYY-MM-DD\.parquet file"):
        event_days(tmp_path)


def test_a_file_of_another_name(tmp_path: Path) -> None:
    """A Parquet file that isn't a day's is refused by name: it might be events left out."""
    folder = write(tmp_path / "e", 1)
    (folder / "2024-05-01.parquet").rename(folder / "events.parquet")
    with pytest.raises(InvalidDataError, match=r"events\.parquet: isn't named YYYY-MM-DD"):
        event_days(folder)


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"{}"])
def test_a_file_that_is_no_parquet(tmp_path: Path, content: bytes) -> None:
    """A broken file is refused by name before anything is computed."""
    folder = write(tmp_path / "e", 1, 2)
    (folder / "2024-05-02.parquet").write_bytes(content)
    with pytest.raises(InvalidDataError, match=r"2024-05-02\.parquet: isn't a readable Parquet"):
        event_days(folder)


def test_a_file_without_a_column(tmp_path: Path) -> None:
    """The message names file and column."""
    folder = write(tmp_path / "e", 1, table=ROW.drop_columns(["device"]))
    with pytest.raises(InvalidDataError, match=r"2024-05-01\.parquet: column device is missing"):
        event_days(folder)


def test_a_column_of_another_type(tmp_path: Path) -> None:
    """The message names file, column and both types."""
    place = ROW.column_names.index("source_seq")
    texts = ROW.set_column(place, "source_seq", pa.array(["1"]))
    folder = write(tmp_path / "e", 1, table=texts)
    with pytest.raises(InvalidDataError, match="column source_seq is string, not int64"):
        event_days(folder)

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError, InvalidSettingError
from tests.support.ga4_export import (
    NOON,
    SCHEMA,
    Row,
    imported,
    raw,
    with_column,
    without_column,
    write_export,
)
from training.importers import import_ga4


def _bad_rows() -> dict[str, Row]:
    return {
        "missing_event_timestamp": raw(event_timestamp=None),
        "event_timestamp_out_of_range": raw(event_timestamp=-5),
        "event_timestamp_off_event_date": raw(event_timestamp=NOON + 10 * 86_400 * 1_000_000),
        "missing_event_name": raw(name=None),
        "missing_user_pseudo_id": raw(user=None),
        "missing_ga_session_id": raw(session=None),
        "user_pseudo_id_too_long": raw(user="u" * 300),
        "session_id_too_long": raw(session="s" * 255),
    }


def test_rows_that_cant_be_used_are_dropped_by_reason(tmp_path: Path) -> None:
    """Each kind of bad row is dropped under its name, with its place, and the good one is kept."""
    rows = [raw(), *_bad_rows().values()]
    events, report = imported(tmp_path, rows)
    assert len(events) == report.rows_kept == 1
    assert report.dropped == dict.fromkeys(sorted(_bad_rows()), 1)
    for place, reason in enumerate(_bad_rows(), start=2):
        assert report.examples[reason].endswith(f"events_20210105.parquet:{place}")


@pytest.mark.parametrize("time_us", [0, 1609848000000, 4_102_444_800_000_000, 2**63 - 1, -(2**63)])
def test_times_out_of_range_never_break_an_import(tmp_path: Path, time_us: int) -> None:
    """Times in milliseconds, beyond 2100 or at the limits of 64 bits are dropped."""
    _, report = imported(tmp_path, [raw(), raw(event_timestamp=time_us)])
    assert report.dropped == {"event_timestamp_out_of_range": 1}


def test_late_and_early_events_stay_with_their_day(tmp_path: Path) -> None:
    """An event may be days older than its export day, and a day's end depends on the time zone."""
    hours = (-3 * 24, 24)
    rows = [raw(event_timestamp=NOON + hour * 3_600_000_000) for hour in hours]
    _, report = imported(tmp_path, rows)
    assert report.days == {"2021-01-05": 2}


def test_an_unreadable_day_falls_back_to_the_time(tmp_path: Path) -> None:
    """A row whose event_date is no date goes to the UTC day of its time and is counted."""
    _, report = imported(tmp_path, [raw(event_date="today"), raw(seconds=1, event_date="20211399")])
    assert report.days == {"2021-01-05": 2}
    assert report.cleaned == {"event_date.invalid": 2}


def test_an_import_without_rows_writes_a_report(tmp_path: Path) -> None:
    """A file without rows is no error: the report says that nothing was read."""
    _, report = imported(tmp_path, [])
    assert (report.rows_read, report.days) == (0, {})
    assert [path.name for path in (tmp_path / "events").iterdir()] == ["report.json"]


@pytest.mark.parametrize(
    "column", ["event_timestamp", "event_name", "user_pseudo_id", "event_params"]
)
def test_a_file_without_a_needed_column_is_refused(tmp_path: Path, column: str) -> None:
    """The message names the file and the column that is missing."""
    with pytest.raises(InvalidDataError, match=rf"events_20210105\.parquet: column {column} is"):
        imported(tmp_path, [raw()], without_column(SCHEMA, column))


@pytest.mark.parametrize("found", [pa.string(), pa.list_(pa.string())])
def test_parameters_of_another_shape_are_refused(tmp_path: Path, found: pa.DataType) -> None:
    """The message says what event_params is and what it should be."""
    with pytest.raises(InvalidDataError, match=r"event_params is .*, not a list of key and value"):
        imported(tmp_path, [raw(event_params=None)], with_column(SCHEMA, "event_params", found))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all, but long enough"])
def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty file and one of another kind are named."""
    path = tmp_path / "events_20210105.parquet"
    path.write_bytes(content)
    with pytest.raises(InvalidDataError, match=r"events_20210105\.parquet: isn't a whole Parquet"):
        import_ga4([path], tmp_path / "out")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    """A file whose end is missing is named, and nothing is written."""
    path = write_export(tmp_path / "a.parquet", [raw()])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InvalidDataError, match=r"a\.parquet: isn't a whole Parquet file"):
        import_ga4([path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_with_damaged_pages_is_found_among_others(tmp_path: Path) -> None:
    """Damage behind an intact footer is reported with the file's name; nothing is written."""
    rows = [raw(seconds=n, title=f"title {n}") for n in range(500)]
    good = write_export(tmp_path / "a.parquet", rows)
    bad = write_export(tmp_path / "b.parquet", rows)
    content = bytearray(bad.read_bytes())
    place = pq.ParquetFile(bad).metadata.row_group(0).column(1).data_page_offset
    content[place : place + 64] = b"\xff" * 64
    bad.write_bytes(bytes(content))
    with pytest.raises(InvalidDataError, match=r"b\.parquet: can't be read"):
        import_ga4([good, bad], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_named_like_a_pattern_is_read(tmp_path: Path) -> None:
    """Characters that mean something in a pattern or in SQL may stand in a file's name."""
    path = write_export(tmp_path / "it's [1] *?.parquet", [raw()])
    out = tmp_path / "out [x] *"
    assert import_ga4([path], out).rows_kept == 1
    assert import_ga4([path], out).rows_kept == 1


def test_a_broken_off_import_changes_nothing(tmp_path: Path) -> None:
    """When an import breaks off, the folder is as it was, without half files."""

    def interrupt(what: str, _done: int, _total: int) -> None:
        if what == "days":
            raise KeyboardInterrupt

    path = write_export(tmp_path / "a.parquet", [raw()])
    with pytest.raises(KeyboardInterrupt):
        import_ga4([path], tmp_path / "out", progress=interrupt)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cant_be_made_is_named(tmp_path: Path) -> None:
    """A file in the place of the output folder is named."""
    path = write_export(tmp_path / "a.parquet", [raw()])
    with pytest.raises(InvalidDataError, match=r"a\.parquet: can't be written"):
        import_ga4([path], path)


def test_a_currency_that_is_none_is_refused(tmp_path: Path) -> None:
    """The shop's currency must be an ISO 4217 code."""
    path = write_export(tmp_path / "a.parquet", [raw()])
    with pytest.raises(InvalidSettingError, match="currency"):
        import_ga4([path], tmp_path / "out", currency="dollars")

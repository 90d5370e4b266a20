"""Days of events split into parts by session."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.events.schema import EVENT_SCHEMA
from tests.support.events import AnEvent, to_table
from tests.support.visits import made_up_visits, write_days
from training.event_files import EventDays, event_days
from training.replay import partition
from training.replay.partition import PART_SCHEMA, count_rows, partition_events

EVENTS = made_up_visits(120, days=3)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> EventDays:
    """Day files of made-up visits, some of them over midnight."""
    return event_days(write_days(tmp_path_factory.mktemp("events"), EVENTS))


def in_files(days: EventDays) -> pa.Table:
    """Read all days in order."""
    return pa.concat_tables([pq.read_table(path) for path in days.files.values()])


@pytest.mark.parametrize("rows_per_part", [10_000, 100, 20])
def test_each_row_once_and_each_session_whole(
    days: EventDays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_per_part: int
) -> None:
    """However many parts there are, they hold every row once, a session's rows in one of them."""
    monkeypatch.setattr(partition, "ROWS_PER_PART", rows_per_part)
    parts = [pq.read_table(path) for path in partition_events(days, tmp_path)]
    assert len(parts) == -(-len(EVENTS) // rows_per_part)
    assert sorted(id_ for part in parts for id_ in part["event_id"].to_pylist()) == sorted(
        event.event_id for event in EVENTS
    )
    owners = [set(part["session_id"].to_pylist()) for part in parts]
    assert sum(map(len, owners)) == len(set().union(*owners)) == 120


def test_who_denied_analytics_is_not_learned_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such events are left out, however they came into the folder, and counted in a warning."""
    events = [AnEvent(event_id=f"e{place}") for place in range(6)]
    table = to_table(events)
    answers = pa.array(["denied", "granted", None, "denied", None, "granted"])
    place = table.schema.get_field_index("consent_analytics")
    folder = tmp_path / "events"
    folder.mkdir()
    pq.write_table(
        table.set_column(place, "consent_analytics", answers), folder / "2024-05-01.parquet"
    )
    (path,) = partition_events(event_days(folder), tmp_path / "parts")
    assert pq.read_table(path)["event_id"].to_pylist() == ["e1", "e2", "e4", "e5"]
    assert "2 events are left out: analytics are denied" in caplog.text


def test_parts_keep_the_order_of_arrival(
    days: EventDays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a part rows follow each other as in the files, with every value as it was."""
    monkeypatch.setattr(partition, "ROWS_PER_PART", 300)
    whole = in_files(days)
    place = {event_id: n for n, event_id in enumerate(whole["event_id"].to_pylist())}
    for path in partition_events(days, tmp_path):
        part = pq.read_table(path)
        assert part.schema.equals(PART_SCHEMA)
        rows = [place[event_id] for event_id in part["event_id"].to_pylist()]
        assert rows == sorted(rows)
        assert part.select(EVENT_SCHEMA.names).to_pylist() == whole.take(rows).to_pylist()


def test_a_large_day_is_read_in_pieces(
    days: EventDays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file is cut for reading changes nothing; progress is told for every row."""
    monkeypatch.setattr(partition, "ROWS_PER_PART", 300)
    at_once = [pq.read_table(path) for path in partition_events(days, tmp_path / "a")]
    monkeypatch.setattr(partition, "_BATCH_ROWS", 17)
    told: list[int] = []
    pieces = partition_events(days, tmp_path / "b", advance=told.append)
    assert [pq.read_table(path).to_pylist() for path in pieces] == [
        part.to_pylist() for part in at_once
    ]
    assert sum(told) == len(EVENTS) == count_rows(days)
    assert max(told) <= 17


def test_days_that_only_lead_up_are_marked(days: EventDays, tmp_path: Path) -> None:
    """Rows of days before the wanted ones are there, marked as not wanted."""
    first = days.days[1]
    (path,) = partition_events(days, tmp_path, wanted_from=first)
    part = pq.read_table(path)
    expected = [_day(event) >= first for event in EVENTS]
    assert part["wanted"].to_pylist() == expected
    assert {True, False} == set(expected)


def test_days_without_events(tmp_path: Path) -> None:
    """An empty day gives one empty part."""
    folder = tmp_path / "events"
    folder.mkdir()
    pq.write_table(to_table([]), folder / "2024-05-01.parquet")
    (path,) = partition_events(event_days(folder), tmp_path / "parts")
    assert pq.read_table(path).num_rows == 0


def _day(event: AnEvent) -> date:
    return date(1970, 1, 1).fromordinal(719_163 + event.event_time // 86_400_000_000)

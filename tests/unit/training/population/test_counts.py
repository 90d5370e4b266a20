"""Days, funnel and orders of small folders, by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.events.schema import EVENT_SCHEMA
from training.event_files import event_days
from training.population import DayCounts, FunnelCounts, count_population, read_import

FIRST, SECOND = date(2024, 5, 1), date(2024, 5, 2)
# Visits of the second day: device, visitor, what happens.
VISITS = (
    ("mobile", "a", ("page_view", "item_view", "cart_add", "checkout_start", "purchase")),
    ("mobile", "a", ("page_view", "item_view")),
    ("desktop", "b", ("page_view",)),
    (None, "c", ("purchase", "purchase")),  # an order without a way to it
)


def write_day(
    folder: Path, day: date, visits: tuple[tuple[str | None, str, tuple[str, ...]], ...]
) -> None:
    """Write a day's events; each order is worth 10, 20, ..."""
    start = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    rows, orders = [], 0
    for place, (device, visitor, types) in enumerate(visits):
        for seq, kind in enumerate(types, 1):
            orders += kind == "purchase"
            rows.append(
                {
                    "event_id": f"{day}-{place}-{seq}",
                    "type": kind,
                    "event_time": start + timedelta(seconds=seq),
                    "session_id": f"{day}-{place}",
                    "source_seq": seq,
                    "anonymous_id": visitor,
                    "device": device,
                    "value_micros": orders * 10_000_000 if kind == "purchase" else None,
                }
            )
    pq.write_table(pa.Table.from_pylist(rows, EVENT_SCHEMA), folder / f"{day}.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days of events."""
    write_day(tmp_path, FIRST, (("mobile", "a", ("page_view",)),))
    write_day(tmp_path, SECOND, VISITS)
    return tmp_path


def test_days_and_orders(folder: Path) -> None:
    """All days are counted; orders and their mean value are of the later days alone."""
    found = count_population(event_days(folder), SECOND)
    assert found.days == (DayCounts(FIRST, 1, 1, 1, 0), DayCounts(SECOND, 10, 4, 3, 2))
    assert (found.orders, found.order_value) == (3, 20.0)


def test_a_step_that_was_passed_unseen_counts(folder: Path) -> None:
    """An order counts for all steps before it; devices add up to all visits."""
    found = count_population(event_days(folder), SECOND).funnel
    assert found[0] == FunnelCounts(None, (4, 3, 2, 2, 2, 2))
    assert {one.device: one.reached for one in found[1:]} == {
        "mobile": (2, 2, 1, 1, 1, 1),
        "desktop": (1, 0, 0, 0, 0, 0),
        "not known": (1, 1, 1, 1, 1, 1),
    }


def test_without_later_days_there_is_nothing_to_count(folder: Path) -> None:
    """Days stay, funnel and orders are empty."""
    found = count_population(event_days(folder), date(2024, 6, 1))
    assert len(found.days) == 2
    assert (found.funnel, found.orders, found.order_value) == ((), 0, None)


def test_an_import_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """No report, no JSON, another shape: None; a report gives its counts and days."""
    assert read_import(tmp_path) is None
    report = tmp_path / "report.json"
    for text in ("{", "[]", '{"rows_read": 1}'):
        report.write_text(text)
        assert read_import(tmp_path) is None
    whole = {
        "rows_read": 3, "rows_kept": 2, "merged": {"repeated": 1}, "dropped": {}, "cleaned": {},
        "days": {"2024-05-02": 1, "2024-05-01": 1}, "notes": ["one"],
    }  # fmt: skip
    report.write_text(json.dumps(whole))
    found = read_import(tmp_path)
    assert found is not None
    assert (found.rows_read, found.first_day, found.last_day) == (3, "2024-05-01", "2024-05-02")

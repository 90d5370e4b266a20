"""Times and numbers as tables write them: what has one meaning is read, all else is counted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.tables import (
    ORDERS,
    events_of,
    imported,
    line,
    with_columns,
    write_mapping,
    write_parquet,
)
from training.importers import import_table


@pytest.mark.parametrize(
    ("column", "source"),
    [
        ("01.05.2024 14:00", {"column": "time", "format": "%d.%m.%Y %H:%M"}),
        ("01.05.2024 14:00 +0200", {"column": "time", "format": "%d.%m.%Y %H:%M %z"}),
        ("1714564800", {"column": "time", "unit": "s"}),
        ("1714564800000000.0", {"column": "time", "unit": "us"}),
        ("2024-05-01T14:00:00+02", "time"),
        ("2024-05-01 14:00:00 +02:00", "time"),
        ("2024-05-01T12:00Z", "time"),
        ("2024-05-01 12:00:00 UTC", "time"),
        ("2024-05-01 21:00:00 Asia/Tokyo", "time"),
        ("2024-05-01T14:00:00.000", "time"),
        ("2024/5/1 14:00", "time"),
    ],
)
def test_times_come_in_many_forms(tmp_path: Path, column: str, source: object) -> None:
    """Formats, units and offsets give one moment; without an offset the shop's zone counts."""
    mapping = {**with_columns(ORDERS, time=source), "time_zone": "Europe/Paris"}
    events, _ = imported(tmp_path, [line(time=column)], mapping)
    assert events[0]["event_time"] == datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01 02:00:00 PM",
        "2024-05-01 14:00:00 CEST",
        "2024-05-01T14:00:00+99:00",
        "2024-02-30 14:00",
        "2024-05-01 25:00",
        "01/05/2024",
        "1714564800",
        "infinity",
    ],
)
def test_times_that_would_be_guessed_are_none(tmp_path: Path, text: str) -> None:
    """What has no one meaning is dropped and counted, never read as something else."""
    events, report = imported(tmp_path, [line(time=text)], ORDERS)
    assert events == []
    assert report.dropped == {"time_not_a_time": 1}


@pytest.mark.parametrize(
    ("decimal", "text", "price"),
    [
        (".", "1234.5", 1_234.5),
        (".", "1,234.5", 1_234.5),
        (".", "1,234,567", 1_234_567),
        (".", "1\N{NO-BREAK SPACE}234.5", 1_234.5),
        (".", "1'234.5", 1_234.5),
        (".", "1,23", None),
        (".", "12,34,567", None),
        (".", "1.234,5", None),
        (".", "£5", None),
        (",", "1234,5", 1_234.5),
        (",", "1.234,5", 1_234.5),
        (",", "1\N{NARROW NO-BREAK SPACE}234,5", 1_234.5),
        (",", "1.234", 1_234),
        (",", "12.5", None),
        (",", "1,234,567", None),
    ],
)
def test_thousands_are_grouped_as_the_decimal_sign_allows(
    tmp_path: Path, decimal: str, text: str, price: float | None
) -> None:
    """Signs between thousands are passed over; a number that contradicts its mapping is none."""
    mapping = with_columns(ORDERS, price={"column": "price", "decimal": decimal})
    events, report = imported(tmp_path, [line(price=text)], mapping)
    found = [event["items"][0]["price_micros"] for event in events]
    assert found == ([] if price is None else [price * 1e6])
    assert report.dropped == ({"price_not_a_number": 1} if price is None else {})


def test_numbers_of_number_columns_have_no_decimal_sign(tmp_path: Path) -> None:
    """`decimal` is for texts alone: integers and floats are what they are."""
    mapping = with_columns(
        ORDERS,
        price={"column": "price", "decimal": ","},
        quantity={"column": "quantity", "decimal": ","},
    )
    rows = [{**line(), "price": 12.5, "quantity": 1_000}]
    path = write_parquet(tmp_path / "t.parquet", rows)
    import_table(path, write_mapping(tmp_path / "m.yaml", mapping), tmp_path / "events")
    assert events_of(tmp_path / "events")[0]["value_micros"] == 12_500_000_000

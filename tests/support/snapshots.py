"""User snapshots of a few events: build them, read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from micromoment.events.shop import Shop
from micromoment.features.user_snapshot import SNAPSHOT_COLUMNS
from tests.support.happenings import Happening, moment, write_events
from tests.support.snapshot_reference import Row
from training.snapshots import SnapshotReport, build_user_snapshots

BERLIN = Shop("EUR", "Europe/Berlin")
DAY = date(2021, 3, 1)
LAG = timedelta(hours=2)
NAMES = [column.name for column in SNAPSHOT_COLUMNS]


def days(number: int) -> date:
    """Give the day so many days after `DAY`."""
    return DAY + timedelta(days=number)


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    """Give a moment by the shop's clock, so many days after `DAY`."""
    return moment(days(day), hour, minute, shop=BERLIN)


def build(
    folder: Path, happenings: Sequence[Happening], first: int, last: int, **options: object
) -> SnapshotReport:
    """Write the events below `folder` and cut the days `first` to `last` after `DAY`."""
    events = write_events(folder / "events", happenings, BERLIN)
    out = folder / "snapshots"
    arguments = {"shop": BERLIN, "publish_lag": LAG, **options}
    return build_user_snapshots(
        events,
        out,
        first_day=days(first),
        last_day=days(last),
        **arguments,  # type: ignore[arg-type] # a test gives what the function takes
    )


def rows_of(folder: Path, day: int) -> dict[str, Row]:
    """Read the rows of one cut by visitor."""
    table = pq.read_table(folder / "snapshots" / f"{days(day).isoformat()}.parquet")
    return {row["visitor_id"]: {name: row[name] for name in NAMES} for row in table.to_pylist()}


def a_purchase(day: int, hour: int = 12, minute: int = 0, **fields: object) -> Happening:
    """Make a purchase of visitor `a`."""
    given = {"anonymous_id": "a", "type": "purchase", "value_micros": 10_000_000, **fields}
    return Happening(at(day, hour, minute), **given)  # type: ignore[arg-type] # as above

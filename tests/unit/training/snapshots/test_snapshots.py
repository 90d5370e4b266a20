"""What a snapshot says of a visitor: times, sessions, counts of events."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.shop import Shop
from tests.support.happenings import Happening, write_events
from tests.support.snapshot_reference import micros
from tests.support.snapshots import LAG, at, build, days, rows_of
from training.snapshots import build_user_snapshots


def test_a_cut_holds_what_happened_before_the_shops_midnight(tmp_path: Path) -> None:
    """An event one minute before the shop's midnight counts, one at midnight doesn't."""
    happenings = [
        Happening(at(0, 23, 59), anonymous_id="early"),
        Happening(at(1, 0, 0), anonymous_id="late"),
    ]
    report = build(tmp_path, happenings, 1, 2)
    assert set(rows_of(tmp_path, 1)) == {"early"}
    assert set(rows_of(tmp_path, 2)) == {"early", "late"}
    assert report.rows == {days(1): 1, days(2): 2}
    assert rows_of(tmp_path, 1)["early"]["snapshot_time"] == micros(
        datetime(2021, 3, 1, 23, tzinfo=UTC)
    )


def test_rows_become_available_after_the_publish_lag(tmp_path: Path) -> None:
    """`available_at` and `created_timestamp` are the cut plus the lag."""
    build(tmp_path, [Happening(at(0), anonymous_id="a")], 1, 1)
    table = pq.read_table(tmp_path / "snapshots" / "2021-03-02.parquet")
    published = datetime(2021, 3, 2, 1, tzinfo=UTC)
    assert table["available_at"].to_pylist() == [published]
    assert table["created_timestamp"].to_pylist() == [published]
    assert table.schema.field("available_at").type == pa.timestamp("us", tz="UTC")


def test_a_midnight_that_the_clock_change_skips_is_the_days_first_moment(tmp_path: Path) -> None:
    """Where clocks jump from 00:00 to 01:00, the cut is at 01:00 of the new time."""
    shop = Shop("", "America/Sao_Paulo")
    day = date(2018, 11, 4)
    before = datetime(2018, 11, 4, 2, 59, tzinfo=UTC)
    happenings = [
        Happening(before, anonymous_id="before"),
        Happening(before + timedelta(minutes=1), anonymous_id="after"),
    ]
    events = write_events(tmp_path / "events", happenings, shop)
    build_user_snapshots(
        events, tmp_path / "out", shop=shop, first_day=day, last_day=day, publish_lag=LAG
    )
    table = pq.read_table(tmp_path / "out" / "2018-11-04.parquet")
    assert table["visitor_id"].to_pylist() == ["before"]


def test_a_session_over_midnight_counts_once_on_the_day_it_began(tmp_path: Path) -> None:
    """A session that goes on after midnight is one session, begun the day before."""
    happenings = [
        Happening(at(0, 23, 50), anonymous_id="a", session_id="s1"),
        Happening(at(1, 0, 10), anonymous_id="a", session_id="s1"),
        Happening(at(1, 9), anonymous_id="a", session_id="s2"),
    ]
    build(tmp_path, happenings, 2, 31)
    assert rows_of(tmp_path, 2)["a"]["sessions"] == 2
    assert rows_of(tmp_path, 30)["a"]["sessions_30d"] == 2
    assert rows_of(tmp_path, 31)["a"]["sessions_30d"] == 1


def test_a_known_user_is_counted_under_the_user_id(tmp_path: Path) -> None:
    """Events with a user id belong to it, those without to the anonymous id; empty is none."""
    happenings = [
        Happening(at(0), anonymous_id="a", session_id="s1"),
        Happening(at(0), anonymous_id="a", user_id="u", session_id="s2"),
        Happening(at(0), anonymous_id="a", user_id="", session_id="s3"),
    ]
    build(tmp_path, happenings, 1, 1)
    assert {visitor: row["sessions"] for visitor, row in rows_of(tmp_path, 1).items()} == {
        "a": 2,
        "u": 1,
    }


def test_events_are_counted_by_kind(tmp_path: Path) -> None:
    """Each event of 28 days counts, by its kind too; those of the last active day apart."""
    kinds = ["page_view", "item_view", "item_view", "cart_add", "scroll", "other"]
    steps = ["checkout_start", "checkout_step", "payment_info", "payment_error"]
    happenings = [
        *(Happening(at(0, 9, n), anonymous_id="a", type=kind) for n, kind in enumerate(kinds)),
        *(
            Happening(at(1, 9, n), anonymous_id="a", type=kind, engagement_ms=700)
            for n, kind in enumerate(steps)
        ),
        Happening(at(1, 10), anonymous_id="a", engagement_ms=-5),
    ]
    build(tmp_path, happenings, 2, 29)
    expected = {
        "events_28d": 11,
        "page_views_28d": 2,
        "item_views_28d": 2,
        "cart_adds_28d": 1,
        "checkouts_28d": 3,
        "engagement_ms_28d": 2_800,
        "events_last_day": 5,
        "active_days": 2,
        "active_days_7d": 2,
    }
    row = rows_of(tmp_path, 2)["a"]
    assert {name: row[name] for name in expected} == expected
    later = rows_of(tmp_path, 29)["a"]
    assert (later["events_28d"], later["events_last_day"], later["active_days_7d"]) == (5, 5, 0)
    assert (later["item_views_28d"], later["active_days"]) == (0, 2)


def test_the_last_addition_to_the_cart_is_kept(tmp_path: Path) -> None:
    """However long ago it was; other events and later days don't move it."""
    happenings = [
        Happening(at(0, 9), anonymous_id="a", type="cart_add"),
        Happening(at(1, 9), anonymous_id="a", type="cart_add"),
        Happening(at(1, 10), anonymous_id="a", type="cart_view"),
        Happening(at(60, 9), anonymous_id="a"),
        Happening(at(0, 9), anonymous_id="b"),
    ]
    build(tmp_path, happenings, 1, 61)
    added = [rows_of(tmp_path, day)["a"]["last_cart_add"] for day in (1, 2, 61)]
    assert added == [micros(at(0, 9)), micros(at(1, 9)), micros(at(1, 9))]
    assert rows_of(tmp_path, 1)["b"]["last_cart_add"] == 0


def test_days_of_long_ago_are_told_apart(tmp_path: Path) -> None:
    """Days and order days are counted however long ago they were, 1970 included."""
    early = datetime(1970, 1, 2, 12, tzinfo=UTC)
    happenings = [
        Happening(
            early + timedelta(days=day), anonymous_id="a", type="purchase", order_id=f"o{day}"
        )
        for day in (0, 1, 5_000)
    ]
    build(tmp_path, happenings, 1, 1)
    row = rows_of(tmp_path, 1)["a"]
    assert (row["active_days"], row["order_days"], row["orders_365d"]) == (3, 3, 0)

"""Daily user snapshots: their values, which visitors get a row, and what the files are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder, IdKey
from micromoment.events.shop import Shop
from micromoment.features.user_snapshot import SNAPSHOT_COLUMNS
from tests.support.happenings import Happening, moment, write_events
from tests.support.snapshot_reference import Row, micros, reference_rows
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


def a_purchase(day: int, hour: int = 12, minute: int = 0, **fields: object) -> Happening:
    """Make a purchase of visitor `a`."""
    given = {"anonymous_id": "a", "type": "purchase", "value_micros": 10_000_000, **fields}
    return Happening(at(day, hour, minute), **given)  # type: ignore[arg-type] # as above


def test_repeated_purchases_are_one_order(tmp_path: Path) -> None:
    """Repeats of an order id, and nameless purchases within 30 minutes, count once."""
    happenings = [
        a_purchase(0, 9, order_id="o1"),
        a_purchase(0, 15, order_id="o1"),
        a_purchase(0, 16),
        a_purchase(0, 16, 30),
        a_purchase(0, 17, 1),
    ]
    build(tmp_path, happenings, 1, 1)
    row = rows_of(tmp_path, 1)["a"]
    assert (row["orders_365d"], row["order_value_365d"]) == (3, 30_000_000)
    assert row["last_order"] == micros(at(0, 17, 1))


def test_money_in_another_currency_is_missing(tmp_path: Path) -> None:
    """An order in foreign money counts as an order without a value."""
    happenings = [
        a_purchase(0, order_id="o1", currency="USD"),
        a_purchase(0, order_id="o2", currency="EUR"),
        a_purchase(0, order_id="o3", currency=""),
    ]
    build(tmp_path, happenings, 1, 1)
    row = rows_of(tmp_path, 1)["a"]
    assert (row["orders_365d"], row["order_value_365d"]) == (3, 20_000_000)


def test_refunds_and_cancellations_undo_orders_once_they_are_known(tmp_path: Path) -> None:
    """A whole refund or a cancellation removes the order, a part of it only the part."""
    happenings = [
        a_purchase(0, 9, order_id="whole"),
        a_purchase(0, 10, order_id="part"),
        a_purchase(0, 11, order_id="cancelled"),
        a_purchase(0, 12, order_id="all of it"),
        Happening(at(1), type="refund", session_id="", order_id="whole"),
        Happening(
            at(1), type="refund", session_id="", order_id="all of it", value_micros=10_000_000
        ),
        Happening(at(1), type="refund", session_id="", order_id="part", value_micros=4_000_000),
        Happening(at(1), type="cancel", session_id="", order_id="cancelled", user_id="office"),
    ]
    build(tmp_path, happenings, 1, 2)
    before, after = rows_of(tmp_path, 1)["a"], rows_of(tmp_path, 2)["a"]
    assert (before["orders_365d"], before["order_value_365d"]) == (4, 40_000_000)
    assert (after["orders_365d"], after["order_value_365d"]) == (1, 6_000_000)
    assert after["last_order"] == micros(at(0, 10))
    assert "office" not in rows_of(tmp_path, 2)


def test_orders_that_were_undone_are_counted_apart(tmp_path: Path) -> None:
    """Undone in part or as a whole both count; what stands and what doesn't make all orders."""
    happenings = [
        a_purchase(0, 9, order_id="part"),
        a_purchase(1, 9, order_id="whole"),
        a_purchase(2, 9, order_id="kept"),
        Happening(at(2), type="refund", session_id="", order_id="part", value_micros=4_000_000),
        Happening(at(2), type="cancel", session_id="", order_id="whole"),
        Happening(at(2), type="cancel", session_id="", order_id="somebody else's"),
    ]
    build(tmp_path, happenings, 2, 3)
    before, after = rows_of(tmp_path, 2)["a"], rows_of(tmp_path, 3)["a"]
    assert (before["orders"], before["orders_undone"], before["order_days"]) == (2, 0, 2)
    assert (after["orders"], after["orders_undone"], after["orders_undone_whole"]) == (2, 2, 1)
    assert (after["order_days"], after["order_value"]) == (2, 16_000_000)
    assert after["first_order"] == micros(at(0, 9))


def test_a_gap_runs_between_order_days(tmp_path: Path) -> None:
    """Several orders of a day are one; the median of two gaps is their mean, of one there is none.

    The clock change on day 27 makes one gap an hour shorter than its days.
    """
    happenings = [
        a_purchase(day, hour, order_id=f"o{day}-{hour}")
        for day, hour in ((0, 9), (0, 20), (10, 9), (30, 9), (30, 8), (33, 8))
    ]
    build(tmp_path, happenings, 11, 34)
    hour = 3_600_000_000
    gaps = [day * 24 * hour for day in (10, 20, 3)]
    gaps[1] -= 2 * hour  # summer time, and an hour earlier
    assert rows_of(tmp_path, 11)["a"]["order_gap_us"] == 0
    assert rows_of(tmp_path, 31)["a"]["order_gap_us"] == (gaps[0] + gaps[1]) // 2
    assert rows_of(tmp_path, 34)["a"]["order_gap_us"] == gaps[0]


def test_a_discount_is_a_product_on_sale_or_a_coupon_before(tmp_path: Path) -> None:
    """A coupon counts for orders of its session from its time on, whoever the visitor was then."""
    happenings = [
        a_purchase(0, 8, order_id="sale", on_sale=True, session_id="s1"),
        a_purchase(0, 9, order_id="full price", on_sale=False, session_id="s2"),
        a_purchase(0, 10, order_id="before", session_id="s3"),
        Happening(at(0, 11), type="coupon_apply", anonymous_id="b", session_id="s3"),
        a_purchase(0, 12, order_id="after", session_id="s3"),
        a_purchase(0, 12, order_id="at once", session_id="s4"),
        Happening(at(0, 12), type="coupon_apply", anonymous_id="a", session_id="s4"),
        a_purchase(0, 12, order_id="no session", session_id=""),
        Happening(at(0, 11), type="coupon_apply", anonymous_id="b", session_id=""),
    ]
    build(tmp_path, happenings, 1, 1)
    row = rows_of(tmp_path, 1)["a"]
    assert (row["orders_365d"], row["discount_orders_365d"]) == (6, 3)


def test_of_purchases_at_one_time_the_greatest_counts(tmp_path: Path) -> None:
    """Of an order's purchases at one time the first is the one of most value, then one on sale."""
    happenings = [
        a_purchase(0, order_id="o1", value_micros=1_000_000, on_sale=True),
        a_purchase(0, order_id="o1", value_micros=3_000_000, on_sale=False),
        *(a_purchase(0, order_id="o2", on_sale=one) for one in (False, True, None)),
        *(a_purchase(0, order_id=None, on_sale=one) for one in (False, True, None)),
    ]
    for name, order in (("forth", happenings), ("back", happenings[::-1])):
        build(tmp_path / name, order, 1, 1)
        row = rows_of(tmp_path / name, 1)["a"]
        assert (row["orders"], row["order_value"]) == (3, 23_000_000)
        assert row["discount_orders_365d"] == 2


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


def test_dormant_visitors_get_a_row_only_when_something_changes(tmp_path: Path) -> None:
    """After 57 quiet days rows stop, until an order is undone."""
    happenings = [
        a_purchase(0, order_id="o1"),
        a_purchase(0, 13, order_id="o2"),
        Happening(at(100), type="cancel", order_id="o2", session_id=""),
    ]
    report = build(tmp_path, happenings, 1, 103)
    written = [(day - DAY).days for day, count in report.rows.items() if count]
    assert written == [*range(1, 58), 101]
    assert rows_of(tmp_path, 57)["a"]["active_days_29_56d"] == 0
    assert rows_of(tmp_path, 56)["a"]["active_days_29_56d"] == 1
    assert rows_of(tmp_path, 101)["a"]["orders_365d"] == 1


def test_an_order_that_leaves_the_year_makes_a_row(tmp_path: Path) -> None:
    """A visitor away for a year gets a row at the cut that no longer counts the order."""
    report = build(tmp_path, [a_purchase(0, order_id="o1")], 364, 368)
    written = [(day - DAY).days for day, count in report.rows.items() if count]
    assert written == [364, 366]  # 364 is the first cut, which holds everybody
    assert rows_of(tmp_path, 364)["a"]["orders_365d"] == 1
    assert rows_of(tmp_path, 366)["a"]["orders_365d"] == 0


def test_a_daily_run_appends_what_one_long_run_would_have_written(tmp_path: Path) -> None:
    """Cut day by day with `keep_others`, the files are those of a single run."""
    happenings = [
        Happening(at(day, 10 + day), anonymous_id=f"v{day % 3}", session_id=f"s{day}")
        for day in range(5)
    ]
    build(tmp_path / "once", happenings, 1, 5)
    for day in range(1, 6):
        build(tmp_path / "daily", happenings, day, day, keep_others=True)
    for day in range(1, 6):
        assert rows_of(tmp_path / "daily", day) == rows_of(tmp_path / "once", day)


def test_cuts_of_an_older_version_are_not_continued(tmp_path: Path) -> None:
    """A daily run refuses a folder whose cuts lack a column; cutting all days again is fine."""
    happenings = [Happening(at(0), anonymous_id="a")]
    build(tmp_path, happenings, 1, 1)
    old = tmp_path / "snapshots" / "2021-03-02.parquet"
    pq.write_table(pq.read_table(old).drop_columns(["orders_undone"]), old)
    with pytest.raises(InvalidDataError, match=r"2021-03-02\.parquet.*cut all days again"):
        build(tmp_path, happenings, 2, 2, keep_others=True)
    build(tmp_path, happenings, 1, 2)
    assert rows_of(tmp_path, 1)["a"]["orders_undone"] == 0


def test_files_of_other_days_are_removed(tmp_path: Path) -> None:
    """A build without `keep_others` leaves nothing of an earlier build behind."""
    happenings = [Happening(at(0), anonymous_id="a")]
    build(tmp_path, happenings, 1, 3)
    build(tmp_path, happenings, 2, 2)
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == ["2021-03-03.parquet"]


def test_the_same_events_give_the_same_bytes(tmp_path: Path) -> None:
    """Two builds write equal files, rows in order of visitor ids."""
    happenings = [
        Happening(at(0, number % 24), anonymous_id=f"v{number * 7 % 1000}", session_id=f"s{number}")
        for number in range(3000)
    ]
    build(tmp_path / "one", happenings, 1, 2)
    build(tmp_path / "two", happenings, 1, 2)
    for name in ("2021-03-02.parquet", "2021-03-03.parquet"):
        one, two = (tmp_path / half / "snapshots" / name for half in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    table = pq.read_table(tmp_path / "one" / "snapshots" / "2021-03-03.parquet")
    visitors = table["visitor_id"].to_pylist()
    assert visitors == sorted(visitors)


def test_visitor_ids_are_encoded(tmp_path: Path) -> None:
    """With a key, rows carry the pseudonym that serving looks up, and no plain id."""
    ids = IdEncoder([IdKey("k1", b"secret")])
    happenings = [Happening(at(0), anonymous_id="canary", user_id="canary-user")]
    build(tmp_path, happenings, 1, 1, ids=ids)
    assert set(rows_of(tmp_path, 1)) == {ids.encode("canary-user")}
    assert b"canary" not in (tmp_path / "snapshots" / "2021-03-02.parquet").read_bytes()


def test_the_report_accounts_for_every_event(tmp_path: Path) -> None:
    """Events read are those kept and those dropped, by reason."""
    seen = Happening(at(0), anonymous_id="a")
    happenings = [
        seen,
        replace(seen, is_bot=True),
        replace(seen, consent_analytics="denied"),
        replace(seen, anonymous_id=None),
        replace(seen, type="refund"),
        replace(seen, at=at(1)),
    ]
    report = build(tmp_path, happenings, 1, 1)
    assert (report.events_read, report.events_kept) == (6, 1)
    assert report.events_dropped == {
        "after the last cut": 1,
        "analytics consent denied": 1,
        "bot": 1,
        "neither user_id nor anonymous_id": 1,
        "refund or cancellation without order_id": 1,
    }


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """A file that is no Parquet is refused by its name."""
    broken = tmp_path / "2021-03-01.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(InvalidDataError, match=r"2021-03-01\.parquet"):
        build_user_snapshots(
            [broken],
            tmp_path / "out",
            shop=BERLIN,
            first_day=days(1),
            last_day=days(1),
            publish_lag=LAG,
        )


def test_days_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    """A last day before the first is an error that names both."""
    with pytest.raises(InvalidDataError, match=r"2021-03-03 to 2021-03-02"):
        build(tmp_path, [Happening(at(0), anonymous_id="a")], 2, 1)


def test_snapshots_never_replace_the_events(tmp_path: Path) -> None:
    """Written to the events' own folder they would remove the events, so that is refused."""
    events = write_events(tmp_path, [Happening(at(0), anonymous_id="a")], BERLIN)
    with pytest.raises(InvalidDataError, match="folder of their own"):
        build_user_snapshots(
            events, tmp_path, shop=BERLIN, first_day=days(1), last_day=days(1), publish_lag=LAG
        )
    assert (tmp_path / "2021-03-01.parquet").exists()


# Days before the first cut at which something enters or leaves a window, and days around it.
DISTANCES = st.one_of(
    st.sampled_from([28, 29, 30, 31, 56, 57, 58, 364, 365, 366, 367, 700, 1000, 1001]),
    st.integers(-4, 8),
)
FIRST_CUT = 400
KINDS = (
    *("page_view", "item_view", "cart_add", "checkout_start", "payment_info", "coupon_apply"),
    *("purchase", "purchase", "purchase", "purchase", "refund", "cancel"),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Happening]:
    """Draw up to 20 events of three visitors, most at the edges of the windows of some cut."""
    places = st.tuples(DISTANCES, st.integers(0, 24 * 12 - 1))
    moments = [
        (FIRST_CUT - distance, place)
        for distance, place in draw(st.lists(places, min_size=1, max_size=20))
    ]
    kinds = st.sampled_from(KINDS)
    happenings = []
    for day, place in sorted(moments):
        kind = draw(kinds)
        happenings.append(
            Happening(
                moment(days(day), shop=BERLIN) + timedelta(minutes=5 * place - 12 * 60),
                user_id=draw(st.sampled_from([None, None, "u", ""])),
                anonymous_id=draw(st.sampled_from(["a", "a", "b", None])),
                type=kind,
                session_id=draw(st.sampled_from(["s1", "s2", "s3", ""])),
                order_id=draw(st.sampled_from([None, "o1", "o1", "o2", "o3", "o4"])),
                value_micros=draw(st.sampled_from([None, 1_000_000, 5_000_000])),
                currency=draw(st.sampled_from([None, None, "EUR", "USD"])),
                on_sale=draw(st.sampled_from([None, False, True])),
                engagement_ms=draw(st.sampled_from([None, None, 0, 1_500])),
                is_bot=draw(st.sampled_from([None, None, None, False, True])),
                consent_analytics=draw(st.sampled_from([None, None, "granted", "denied"])),
            )
        )
    return happenings


@settings(max_examples=50, deadline=None)
@given(histories(), st.integers(0, 3))
def test_snapshots_agree_with_the_definitions(happenings: list[Happening], more: int) -> None:
    """Each row equals the plain reference; where there is none, the visitor's last one holds."""
    with TemporaryDirectory() as folder:
        build(Path(folder), happenings, FIRST_CUT, FIRST_CUT + more)
        newest: dict[str, Row] = {}
        for day in range(FIRST_CUT, FIRST_CUT + more + 1):
            written = rows_of(Path(folder), day)
            expected = reference_rows(happenings, days(day), BERLIN)
            assert all(row == expected[visitor] for visitor, row in written.items())
            newest.update(written)
            assert {visitor: {**row, "snapshot_time": 0} for visitor, row in newest.items()} == {
                visitor: {**row, "snapshot_time": 0} for visitor, row in expected.items()
            }

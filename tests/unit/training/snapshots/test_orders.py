"""What a snapshot says of orders: repeats, money, refunds, gaps, discounts."""

from __future__ import annotations

from pathlib import Path

from tests.support.happenings import Happening
from tests.support.snapshot_reference import micros
from tests.support.snapshots import a_purchase, at, build, rows_of


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

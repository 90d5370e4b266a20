from __future__ import annotations

import random
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError
from micromoment.events.schema import EVENT_SCHEMA
from tests.support.tables import (
    ORDERS,
    Row,
    events_of,
    imported,
    line,
    with_columns,
    write_csv,
    write_mapping,
    write_parquet,
)
from training.importers import import_table
from training.importers.visits import DayRange

CHARGES = {"item_id_matches": "^(POST|D)$"}


def _facts(events: list[Row]) -> list[tuple[str, str, str | None, int]]:
    return [(e["type"], e["session_id"], e["order_id"], e["value_micros"]) for e in events]


def test_the_lines_of_an_order_are_one_purchase(tmp_path: Path) -> None:
    """Items come dearest first, the value is their sum, the time is that of the first line."""
    rows = [
        line("1", "a", quantity="2", time="2024-05-01 12:05"),
        line("1", "b", price="10", time="2024-05-01 12:00"),
        line("2", "a", customer="u2"),
    ]
    events, report = imported(tmp_path, rows, {**ORDERS, "attributes": {"by": "customer"}})
    first, second = events
    assert list(first) == EVENT_SCHEMA.names
    assert (first["type"], first["session_id"], first["source_seq"]) == ("purchase", "u1.1", 1)
    assert (first["user_id"], first["anonymous_id"], first["order_id"]) == ("u1", None, "1")
    assert first["event_time"] == datetime(2024, 5, 1, 12, tzinfo=UTC)
    items = [(i["item_id"], i["quantity"], i["price_micros"]) for i in first["items"]]
    assert items == [("b", 1, 10_000_000), ("a", 2, 2_500_000)]
    assert (first["value_micros"], first["currency"]) == (15_000_000, "GBP")
    assert first["attributes"] == [("by", "u1")]
    assert second["user_id"] == "u2"
    assert (report.rows_read, report.rows_kept, report.events) == (3, 3, {"purchase": 2})
    assert (report.visitors, report.sessions, report.purchase_events_read) == (2, 2, 2)


def test_cancellations_are_refunds_of_the_order_that_is_found(tmp_path: Path) -> None:
    """One cancellation may take back parts of several orders, and things nobody knows of."""
    rows = [
        line("1", "a", quantity="3", time="2024-05-01"),
        line("2", "b", time="2024-05-02"),
        line("2", "a", quantity="2", time="2024-05-02"),
        line("C3", "a", quantity="-3", time="2024-05-03"),
        line("C3", "b", quantity="-1", time="2024-05-03"),
        line("C3", "c", quantity="-4", time="2024-05-03"),
        line("C4", "a", quantity="1", time="2024-05-04", customer="u2"),
    ]
    events, report = imported(tmp_path, rows, ORDERS)
    assert sorted(_facts(events), key=str) == [
        ("purchase", "u1.1", "1", 7_500_000),
        ("purchase", "u1.2", "2", 7_500_000),
        ("refund", "u1.C3", "1", 7_500_000),
        ("refund", "u1.C3", "2", 2_500_000),
        ("refund", "u1.C3", None, 10_000_000),
        ("refund", "u2.C4", None, 2_500_000),
    ]
    assert sorted(e["source_seq"] for e in events if e["session_id"] == "u1.C3") == [1, 2, 3]
    assert all(i["quantity"] > 0 for e in events for i in e["items"])
    assert report.notes[0].startswith("of 4 lines that take something back, 2 are of a known order")
    assert report.events == {"purchase": 2, "refund": 4}


def test_a_negative_line_of_an_order_is_a_refund_of_it(tmp_path: Path) -> None:
    """It joins the order's session as its second event, unless such lines aren't refunds here."""
    rows = [line("1"), line("1", "b", quantity="-1", time="2024-05-09")]
    events, _ = imported(tmp_path / "a", rows, ORDERS)
    assert _facts(events) == [
        ("purchase", "u1.1", "1", 2_500_000),
        ("refund", "u1.1", "1", 2_500_000),
    ]
    assert [e["source_seq"] for e in events] == [1, 2]
    strict = {**ORDERS, "refunds": {"negative_quantity": False}}
    _, report = imported(tmp_path / "b", rows, strict)
    assert report.dropped == {"negative_quantity": 1}


def test_a_table_may_name_the_order_of_a_refund(tmp_path: Path) -> None:
    """A column with the original order is believed, whatever else would fit."""
    rows = [line("1", of=""), line("2", of=""), line("C3", quantity="-1", of="1")]
    mapping = with_columns(ORDERS, original_order_id="of")
    events, _ = imported(tmp_path, rows, mapping)
    assert ("refund", "u1.C3", "1", 2_500_000) in _facts(events)


def test_charges_count_in_the_value_and_are_no_items(tmp_path: Path) -> None:
    """Postage adds to an order, a discount takes away, and an order of charges has no items."""
    rows = [
        line("1", "a", price="10"),
        line("1", "POST", price="3"),
        line("1", "D", price="1", quantity="-2"),
        line("2", "POST", price="4"),
        line("3", "D", price="-5"),
    ]
    events, report = imported(tmp_path, rows, {**ORDERS, "charges": CHARGES})
    assert [(e["order_id"], e["value_micros"]) for e in events] == [
        ("1", 11_000_000),
        ("2", 4_000_000),
        ("3", 0),
    ]
    assert [e["items"] and len(e["items"]) for e in events] == [1, None, None]
    assert (report.rows_kept, report.merged) == (1, {"charge_in_order_value": 4})


def test_a_large_order_keeps_its_value(tmp_path: Path) -> None:
    """Of more than fifty lines the dearest are items; the value is that of all."""
    rows = [line("1", f"i{n:03d}", price=str(n + 1)) for n in range(60)]
    events, report = imported(tmp_path, rows, ORDERS)
    assert len(events[0]["items"]) == 50
    assert events[0]["items"][0]["item_id"] == "i059"
    assert events[0]["value_micros"] == sum(range(1, 61)) * 1_000_000
    assert (report.rows_kept, report.merged) == (50, {"over_50_items": 10})


def test_equal_lines_are_merged_unless_they_mean_two(tmp_path: Path) -> None:
    """A line that equals another one in every mapped column is a repetition, or is not."""
    rows = [line(), line(), line(note="other"), line(quantity="2")]
    rows = [{"note": "", **row} for row in rows]
    merged, report = imported(tmp_path / "a", rows, ORDERS)
    assert report.merged == {"duplicate_row": 2}
    assert merged[0]["value_micros"] == 7_500_000
    kept, report = imported(tmp_path / "b", rows, {**ORDERS, "duplicates": "keep"})
    assert (report.merged, kept[0]["value_micros"]) == ({}, 12_500_000)


def test_guests_are_dropped_unless_they_are_kept(tmp_path: Path) -> None:
    """Lines without a customer count as such, or become orders of nobody."""
    rows = [line(), line("2", customer=None), line("C3", customer="", quantity="-1")]
    _, report = imported(tmp_path / "a", rows, ORDERS)
    assert report.dropped == {"missing_customer": 2}
    events, _ = imported(tmp_path / "b", rows, {**ORDERS, "without_customer": "keep"})
    assert sorted((e["session_id"], e["user_id"], e["order_id"]) for e in events) == [
        ("guest.2", None, "2"),
        ("guest.C3", None, None),
        ("u1.1", "u1", "1"),
    ]


BAD = {
    "missing_order_id": line(None),
    "order_id_too_long": line("o" * 257),
    "missing_time": line(time=" "),
    "time_not_a_time": line(time="soon"),
    "time_out_of_range": line(time="1899-12-31T00:00:00Z"),
    "missing_customer": line(customer=" "),
    "customer_id_too_long": line(customer="c" * 257),
    "session_id_too_long": line("o" * 200, customer="c" * 100),
    "missing_item_id": line(item=""),
    "item_id_too_long": line(item="i" * 257),
    "missing_quantity": line(quantity=""),
    "quantity_not_a_number": line(quantity="two"),
    "zero_quantity": line(quantity="0"),
    "quantity_out_of_range": line(quantity="1e9"),
    "missing_price": line(price=None),
    "price_not_a_number": line(price="free"),
    "negative_price": line(price="-1"),
    "price_out_of_range": line(price="1e12"),
}


def test_lines_that_cant_be_used_are_dropped_by_reason(tmp_path: Path) -> None:
    """Each is dropped under its name with the place of its row, and the good one is kept."""
    rows = [line(), *BAD.values()]
    events, report = imported(tmp_path, rows, ORDERS)
    assert len(events) == report.rows_kept == 1
    assert report.dropped == dict.fromkeys(sorted(BAD), 1)
    for place, reason in enumerate(BAD, start=2):
        assert report.examples[reason].endswith(f"table.csv:{place}")


def test_rules_drop_rows_under_their_own_names(tmp_path: Path) -> None:
    """Every kind of test works on the file's own text; the first rule that holds counts."""
    rules = [
        {"reason": "free", "column": "price", "at_most": 0},
        {"reason": "dear", "column": "price", "at_least": 1_000},
        {"reason": "failed", "column": "status", "not_one_of": ["done", "paid"]},
        {"reason": "tested", "column": "item", "matches": "^TEST"},
        {"reason": "own", "column": "customer", "one_of": ["me", 7]},
        {"reason": "nowhere", "column": "land", "missing": True},
    ]
    base = {"status": "done", "land": "GB"}
    rows = [
        {**base, **line()},
        {**base, **line("2", price="0")},
        {**base, **line("3", price="1000.0")},
        {**base, **line("4"), "status": "open"},
        {**base, **line("5"), "status": ""},
        {**base, **line("6", "TEST1")},
        {**base, **line("7", customer="7")},
        {**base, **line("8"), "land": "n/a"},
        {**base, **line("9", "TEST1"), "price": "0"},
    ]
    events, report = imported(tmp_path, rows, {**ORDERS, "missing": ["n/a"], "drop": rules})
    assert [e["order_id"] for e in events] == ["1"]
    expected = {"dear": 1, "failed": 2, "free": 2, "nowhere": 1, "own": 1, "tested": 1}
    assert report.dropped == expected


def test_values_may_come_in_the_tables_own_units(tmp_path: Path) -> None:
    """Cents, decimal commas, numbers that became floats, spellings and category levels are read."""
    rows = [
        line("1.0", "ab", customer="13085.0", price="1.234,50", cents="250", top="Home", sub=""),
        line("2", "AB", customer="13085", price="1,5", cents="x", top="Home", sub="Bath > Soap"),
    ]
    mapping = with_columns(
        ORDERS,
        order_id={"column": "order", "type": "integer"},
        customer_id={"column": "customer", "type": "integer"},
        item_id={"column": "item", "case": "upper"},
        price={"column": "price", "decimal": ","},
        category={"levels": ["top", "sub"]},
    )
    events, _ = imported(tmp_path / "a", rows, mapping)
    assert [(e["order_id"], e["user_id"]) for e in events] == [("1", "13085"), ("2", "13085")]
    items = [event["items"][0] for event in events]
    assert [i["price_micros"] for i in items] == [1_234_500_000, 1_500_000]
    assert [i["item_id"] for i in items] == ["AB", "AB"]
    assert [i["category_path"] for i in items] == [["Home"], ["Home", "Bath > Soap"]]
    mapping = with_columns(
        mapping,
        price={"column": "cents", "unit": "cents"},
        category={"column": "sub", "separator": ">"},
    )
    events, report = imported(tmp_path / "b", rows, mapping)
    assert events[0]["items"][0]["price_micros"] == 2_500_000
    assert report.dropped == {"price_not_a_number": 1}


def test_parts_of_a_piece_have_a_value_but_no_count(tmp_path: Path) -> None:
    """Half a kilo is charged as such; its quantity is unknown, and that is counted."""
    events, report = imported(tmp_path, [line(quantity="0.5", price="3")], ORDERS)
    assert events[0]["value_micros"] == 1_500_000
    assert events[0]["items"][0]["quantity"] is None
    assert report.cleaned == {"items.quantity.not_whole": 1}


def test_odd_values_of_an_item_cost_that_value(tmp_path: Path) -> None:
    """A flag that is none and a currency that is none are cleared and counted."""
    mapping = with_columns(ORDERS, on_sale="sale", currency="cur")
    rows = [line(sale="perhaps", cur="pounds"), line(item="b", sale="no", cur="gbp")]
    (event,), report = imported(tmp_path, rows, mapping)
    assert [item["on_sale"] for item in event["items"]] == [None, False]
    assert report.cleaned == {"currency.not_a_currency": 1, "items.on_sale.not_a_flag": 1}


def _history(seed: int) -> list[Row]:
    dice = random.Random(seed)
    rows = []
    for number in range(240):
        order, returned = f"{number // 4}", dice.random() < 0.3
        prefix = dice.choice(["C", ""]) if returned else ""
        rows.append(
            line(
                f"{prefix}{order}",
                dice.choice(["a", "b", "POST"]),
                customer=f"u{number // 4 % 5}",
                quantity=str(dice.randint(1, 3) * (-1 if returned else 1)),
                time=f"2024-05-{1 + number // 32 + returned * 2:02d} {8 + number // 4 % 12}:00",
            )
        )
    return rows


def test_the_order_of_rows_files_and_kinds_means_nothing(tmp_path: Path) -> None:
    """Shuffled rows over several files, CSV or Parquet, give byte-equal days and equal counts."""
    mapping = write_mapping(tmp_path / "m.yaml", {**ORDERS, "charges": CHARGES})
    rows = _history(1)
    write_csv(tmp_path / "one" / "all.csv", rows)
    random.Random(2).shuffle(rows)
    write_csv(tmp_path / "many" / "b.csv", rows[:70])
    typed = [{**row, "quantity": int(row["quantity"])} for row in rows[70:]]
    write_parquet(tmp_path / "many" / "a.parquet", typed)
    one, many = (
        import_table(tmp_path / name, mapping, tmp_path / f"out-{name}") for name in ("one", "many")
    )
    assert one.merged == many.merged
    assert one.merged["duplicate_row"] > 0
    assert (one.rows_kept, one.events) == (many.rows_kept, many.events)
    for path in sorted((tmp_path / "out-one").glob("*.parquet")):
        assert path.read_bytes() == (tmp_path / "out-many" / path.name).read_bytes()


@pytest.mark.parametrize("one_file", [True, False])
def test_days_one_by_one_equal_all_at_once(tmp_path: Path, one_file: bool) -> None:
    """Later days find earlier orders in the folder, or in a table that goes further back."""
    mapping = {**ORDERS, "duplicates": "keep"}
    rows = [row for row in _history(3) if row["item"] != "POST"]
    whole, report = imported(tmp_path / "whole", rows, mapping)
    linked = [e for e in whole if e["type"] == "refund" and e["order_id"]]
    assert len(linked) > 20
    for day in sorted(report.days):
        of_day = rows if one_file else [row for row in rows if row["time"].startswith(day)]
        only = DayRange(date.fromisoformat(day), date.fromisoformat(day))
        imported(tmp_path / "steps", of_day, mapping, days=only)
    assert events_of(tmp_path / "steps" / "events") == whole


def test_days_are_the_shops(tmp_path: Path) -> None:
    """Local times are the shop's; an hour that the clocks skip or repeat never breaks an import."""
    rows = [
        line("1", time="2024-05-01 23:30"),
        line("2", time="2024-05-01T23:30:00Z"),
        line("3", time="2024-03-31 01:30"),
        line("4", time="2024-10-27 01:30"),
    ]
    events, report = imported(tmp_path, rows, {**ORDERS, "time_zone": "Europe/London"})
    times = {e["order_id"]: e["event_time"].strftime("%m-%d %H:%M") for e in events}
    assert times["1"] == "05-01 22:30"
    assert times["2"] == "05-01 23:30"
    assert report.days == {"2024-03-31": 1, "2024-05-01": 1, "2024-05-02": 1, "2024-10-27": 1}


def test_days_are_replaced_only_if_asked(tmp_path: Path) -> None:
    """A day that is there already is named and stays as it is, unless it may be replaced."""
    imported(tmp_path, [line()], ORDERS)
    with pytest.raises(InvalidDataError, match="holds 2024-05-01 already"):
        imported(tmp_path, [line("2")], ORDERS)
    assert [e["order_id"] for e in events_of(tmp_path / "events")] == ["1"]
    events, report = imported(tmp_path, [line("2")], ORDERS, replace=True)
    assert [e["order_id"] for e in events] == ["2"]
    assert "replaced" in report.notes[0]

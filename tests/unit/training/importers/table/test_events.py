from __future__ import annotations

from pathlib import Path

import pytest

from micromoment.events.hashing import hash_id
from micromoment.events.schema import EVENT_SCHEMA
from tests.support.tables import EVENTS, Row, happened, imported, with_columns

FULL = {
    **with_columns(
        EVENTS,
        received_time={"column": "arrived", "format": "%Y-%m-%d %H:%M:%S"},
        event_id="id",
        session_id="visit",
        user_id={"column": "user", "type": "integer"},
        category={"column": "cat", "separator": "|"},
        brand="brand",
        price={"column": "price", "unit": "cents"},
        quantity="n",
        position="pos",
        on_sale="sale",
        order_id="order",
        value={"column": "total", "decimal": ","},
        currency="cur",
        page="url",
        page_type={"column": "kind", "values": {"PDP": "item"}},
        page_title="title",
        referrer_medium={"column": "medium", "values": {"newsletters": "email"}},
        referrer_campaign="campaign",
        referrer_source="source",
        device={"column": "device", "values": {"handset": "mobile"}},
        locale="locale",
        utc_offset_minutes="offset",
        scroll_percent="scroll",
        dwell={"column": "dwell", "unit": "s"},
        hover="hover",
        engagement="hover",
        search_term="term",
        consent_analytics={"column": "ok", "values": {"ja": "granted"}},
        consent_personalization="ok2",
        consent_ads={"constant": "denied"},
        consent_gpc="gpc",
        is_bot="bot",
    ),
    "attributes": {"colour": "colour"},
}
ROW = happened(
    "transaction",
    arrived="2024-05-01 12:00:09",
    id="e1",
    visit="s1",
    user="77.0",
    cat="Home|Bath",
    brand="B",
    price="1999",
    n="2",
    pos="4",
    sale="yes",
    order="o1",
    total="1.039,98",
    cur="eur",
    url="https://shop.example/A/b?c=d",
    kind="pdp",
    title="Towel",
    medium="Newsletters",
    campaign="spring",
    source="list",
    device="Handset",
    locale="de-AT",
    offset="120",
    scroll="55.5",
    dwell="1.5",
    hover="20",
    term=" Towels ",
    ok="Ja",
    ok2="no",
    gpc="0",
    bot="false",
    colour="blue",
)


def test_every_column_can_be_mapped(tmp_path: Path) -> None:
    """Each canonical column comes from a column of the table, in its units."""
    (event,), report = imported(tmp_path, [ROW], FULL)
    assert list(event) == EVENT_SCHEMA.names
    times = {name: event.pop(name).isoformat() for name in ("event_time", "received_time")}
    assert times == {
        "event_time": "2024-05-01T12:00:00+00:00",
        "received_time": "2024-05-01T12:00:09+00:00",
    }
    item = {
        "item_id": "a",
        "category_path": ["Home", "Bath"],
        "brand": "B",
        "price_micros": 19_990_000,
        "quantity": 2,
        "position": 4,
        "on_sale": True,
    }
    assert event == {
        "event_id": "e1",
        "type": "purchase",
        "session_id": "v1.s1",
        "source_seq": 1,
        "anonymous_id": "v1",
        "user_id": "77",
        "items": [item],
        "order_id": "o1",
        "value_micros": 1_039_980_000,
        "currency": "EUR",
        "page_id": "/a/b",
        "page_type": "item",
        "page_title": "Towel",
        "referrer_medium": "email",
        "referrer_campaign": "spring",
        "referrer_source": "list",
        "device": "mobile",
        "locale": "de-AT",
        "utc_offset_minutes": 120,
        "scroll_percent": 55.5,
        "dwell_ms": 1_500,
        "hover_ms": 20,
        "engagement_ms": 20,
        "search_terms_hash": hash_id("towels"),
        "consent_analytics": "granted",
        "consent_personalization": "denied",
        "consent_ads": "denied",
        "consent_gpc": False,
        "is_bot": False,
        "attributes": [("colour", "blue")],
    }
    assert (report.rows_kept, report.cleaned, report.events) == (1, {}, {"purchase": 1})


@pytest.mark.parametrize("column", ["granted", "denied", "Yes", "no"])
def test_who_denied_analytics_is_left_out(tmp_path: Path, column: str) -> None:
    """The words of Google's consent mode and of others are answers; a denial is counted."""
    rows = [{**happened(), "analytics_storage": column}]
    mapping = with_columns(EVENTS, consent_analytics="analytics_storage")
    events, report = imported(tmp_path, rows, mapping)
    is_denied = column in {"denied", "no"}
    assert len(events) == (0 if is_denied else 1)
    assert report.dropped == ({"analytics_denied": 1} if is_denied else {})


def test_a_column_may_be_empty(tmp_path: Path) -> None:
    """Where the table has no value the event has none, and nothing counts as mended."""
    needed = {name: ROW[name] for name in ("event", "timestamp", "visitor")}
    (event,), report = imported(tmp_path, [{**dict.fromkeys(ROW, ""), **needed}], FULL)
    known = {name for name, value in event.items() if value is not None}
    assert known == {
        "event_id",
        "type",
        "event_time",
        "session_id",
        "source_seq",
        "anonymous_id",
        "consent_ads",
    }
    assert report.cleaned == {}


def test_types_are_mapped_or_canonical_or_other(tmp_path: Path) -> None:
    """Mapped words come first, canonical ones are themselves, others are kept by their name."""
    rows = [happened(word, n) for n, word in enumerate(["VIEW", "Cart_Add", "gaze", "transaction"])]
    events, _ = imported(tmp_path / "a", rows, EVENTS)
    assert [e["type"] for e in events] == ["item_view", "cart_add", "other", "purchase"]
    assert [e["attributes"] for e in events] == [None, None, [("table_event", "gaze")], None]
    typed = {**EVENTS["columns"]["type"], "unlisted": "drop"}
    events, report = imported(tmp_path / "b", rows, with_columns(EVENTS, type=typed))
    assert (len(events), report.dropped) == (3, {"unlisted_type": 1})


def test_sessions_are_cut_where_there_are_none(tmp_path: Path) -> None:
    """Rows without a session id are cut by silence, as the mapping says."""
    rows = [happened(minutes=m) for m in (0, 8, 20, 21)]
    mapping = {**EVENTS, "sessions": {"expiry_minutes": 10}}
    events, report = imported(tmp_path, rows, mapping)
    assert [e["source_seq"] for e in events] == [1, 2, 1, 2]
    assert report.sessions == 2


def test_equal_rows_are_one_event(tmp_path: Path) -> None:
    """Without an event id the mapped columns tell rows apart."""
    rows = [happened(), happened(), happened(item="b"), happened("transaction")]
    events, report = imported(tmp_path, rows, EVENTS)
    assert report.merged == {"duplicate_row": 1}
    assert len({e["event_id"] for e in events}) == len(events) == 3


def test_rows_that_cant_be_used_are_dropped_by_reason(tmp_path: Path) -> None:
    """Each is dropped under its name with its place, rules of the mapping included."""
    bad: dict[str, Row] = {
        "missing_event_time": happened(timestamp=""),
        "event_time_not_a_time": happened(timestamp="noon"),
        "event_time_out_of_range": happened(timestamp="1"),
        "missing_event_type": happened(""),
        "missing_visitor": happened(visitor=" "),
        "anonymous_id_too_long": happened(visitor="v" * 300),
        "our_own": happened(item="test"),
    }
    rules = [{"reason": "our_own", "column": "item", "one_of": ["test"]}]
    events, report = imported(tmp_path, [happened(), *bad.values()], {**EVENTS, "drop": rules})
    assert len(events) == 1
    assert report.dropped == dict.fromkeys(sorted(bad), 1)
    for place, reason in enumerate(bad, start=2):
        assert report.examples[reason].endswith(f"table.csv:{place}")


def test_words_that_mean_nothing_are_counted(tmp_path: Path) -> None:
    """Words of no vocabulary are cleared or become `other`, and are counted either way."""
    odd = {
        "arrived": "later",
        "sale": "perhaps",
        "kind": "brochure",
        "medium": "pigeon",
        "device": "fridge",
        "ok": "maybe",
        "gpc": "?",
        "bot": "who knows",
    }
    (event,), report = imported(tmp_path, [{**ROW, **odd}], FULL)
    assert event["received_time"] is event["items"][0]["on_sale"] is None
    assert event["page_type"] == event["referrer_medium"] == event["device"] == "other"
    assert event["consent_analytics"] is event["consent_gpc"] is event["is_bot"] is None
    assert report.cleaned == {
        "consent_analytics.not_an_answer": 1,
        "consent_gpc.not_a_flag": 1,
        "device.unlisted": 1,
        "is_bot.not_a_flag": 1,
        "items.on_sale.not_a_flag": 1,
        "page_type.unlisted": 1,
        "received_time.not_a_time": 1,
        "referrer_medium.unlisted": 1,
    }


def test_numbers_out_of_bounds_are_cleared_or_clipped(tmp_path: Path) -> None:
    """Values beyond their limits cost that value and are counted; the event stays."""
    odd = {
        "n": "1.5",
        "pos": "0",
        "price": "dear",
        "offset": "9999",
        "scroll": "250",
        "dwell": "-3",
    }
    (event,), report = imported(tmp_path, [{**ROW, **odd, "cur": "euros", "hover": "x"}], FULL)
    (item,) = event["items"]
    assert item["quantity"] is item["position"] is item["price_micros"] is None
    assert (event["scroll_percent"], event["dwell_ms"], event["hover_ms"]) == (100.0, 0, None)
    assert event["currency"] is event["utc_offset_minutes"] is None
    assert report.cleaned == {
        "currency.not_a_currency": 1,
        "dwell_ms.clipped": 1,
        "engagement_ms.not_a_number": 1,
        "hover_ms.not_a_number": 1,
        "items.position.out_of_range": 1,
        "items.price_micros.not_a_number": 1,
        "items.quantity.out_of_range": 1,
        "scroll_percent.clipped": 1,
        "utc_offset_minutes.out_of_range": 1,
    }

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.events.hashing import hash_id
from micromoment.events.schema import EVENT_SCHEMA
from tests.support.ga4_export import (
    DAY,
    NOON,
    SCHEMA,
    Row,
    imported,
    raw,
    with_column,
)


def _one(tmp_path: Path, row: Row, schema: pa.Schema = SCHEMA, currency: str = "") -> Row:
    events, _ = imported(tmp_path, [row], schema, currency=currency)
    (event,) = events
    return event


def test_a_file_has_exactly_the_canonical_columns(tmp_path: Path) -> None:
    """A day's file has the canonical schema to the letter, also where an event fills little."""
    imported(tmp_path, [raw()])
    schema = pq.read_schema(tmp_path / "events" / f"{DAY}.parquet")
    assert schema.remove_metadata().equals(EVENT_SCHEMA)


def test_ids_and_time_of_an_event(tmp_path: Path) -> None:
    """Visitor, session and time come as they are, and the server's time stays unknown."""
    event = _one(tmp_path, raw(user="5940404.2061500800", session=4369111608, user_id="c-1"))
    assert event["anonymous_id"] == "5940404.2061500800"
    assert event["session_id"] == "5940404.2061500800.4369111608"
    assert event["user_id"] == "c-1"
    assert int(event["event_time"].timestamp() * 1e6) == NOON
    assert event["received_time"] is None
    assert 16 <= len(event["event_id"]) <= 24
    int(event["event_id"], 16)


def test_an_unset_value_is_no_value(tmp_path: Path) -> None:
    """What GA4 writes for unknown or hidden values becomes null in every column."""
    rows = [
        raw(
            "purchase",
            3600 * place,
            user_id=value,
            title=value,
            with_params={"transaction_id": value, "currency": value, "search_term": value},
            device={"category": value, "language": value},
            traffic_source={"medium": "organic", "name": value, "source": value},
            items=[{"item_id": "a", "item_brand": value, "item_category": value}],
        )
        for place, value in enumerate(["", "(not set)", "(data deleted)", "<Other>", " "])
    ]
    events, report = imported(tmp_path, rows)
    assert report.rows_kept == 5
    unknown = ["user_id", "page_title", "order_id", "currency", "search_terms_hash", "device"]
    unknown += ["locale", "referrer_campaign", "referrer_source"]
    assert [{event[name] for name in unknown} for event in events] == [{None}] * 5
    items = [item for event in events for item in event["items"]]
    assert [(item["brand"], item["category_path"]) for item in items] == [(None, None)] * 5


def test_what_was_not_measured_is_missing(tmp_path: Path) -> None:
    """An event without a measure has null for it, neither zero nor a limit."""
    event = _one(tmp_path, raw(items=None))
    measures = ["scroll_percent", "engagement_ms", "dwell_ms", "hover_ms", "utc_offset_minutes"]
    measures += ["value_micros", "items", "search_terms_hash", "consent_analytics", "attributes"]
    assert {name: event[name] for name in measures} == dict.fromkeys(measures)


def test_unset_values_are_counted(tmp_path: Path) -> None:
    """The report counts values that were hidden, by column, with the first row."""
    rows = [raw(), raw(seconds=1, title="(not set)"), raw(seconds=2, title="(data deleted)")]
    _, report = imported(tmp_path, rows)
    assert report.cleaned["page_title.not_set"] == 2
    assert report.examples["page_title.not_set"].endswith("events_20210105.parquet:2")


def test_medium_becomes_a_word_of_the_vocabulary(tmp_path: Path) -> None:
    """Each medium maps to one of the referrer's words; a hidden one is unknown."""
    expected = {
        "organic": "organic",
        "cpc": "paid",
        "PPC": "paid",
        "paidsearch": "paid",
        "referral": "referral",
        "email": "email",
        "(none)": "direct",
        "direct": "direct",
        "social": "social",
        "affiliate": "affiliate",
        "cpm": "display",
        "display": "display",
        "<Other>": "other",
        "qr-code": "other",
        "(data deleted)": None,
        "(not set)": None,
    }
    rows = [
        raw(seconds=place, with_params={"medium": medium}) for place, medium in enumerate(expected)
    ]
    events, _ = imported(tmp_path, rows)
    found = dict(zip(expected, [event["referrer_medium"] for event in events], strict=True))
    assert found == expected


def test_the_referrer_comes_from_one_place(tmp_path: Path) -> None:
    """Event parameters win over collected traffic source, and that over the first visit's."""
    first = {"medium": "organic", "name": "first", "source": "one"}
    collected = {"manual_medium": "email", "manual_source": "two", "manual_campaign_name": None}
    rows = [
        raw(seconds=0, traffic_source=first),
        raw(seconds=1, traffic_source=first, collected_traffic_source=collected),
        raw(
            seconds=2,
            traffic_source=first,
            collected_traffic_source=collected,
            with_params={"medium": "cpc"},
        ),
        raw(seconds=3, traffic_source=first, collected_traffic_source={"gclid": "abc"}),
    ]
    events, _ = imported(tmp_path, rows)
    names = ("referrer_medium", "referrer_source", "referrer_campaign")
    assert [tuple(event[name] for name in names) for event in events] == [
        ("organic", "one", "first"),
        ("email", "two", None),
        ("paid", None, None),
        ("paid", None, None),
    ]


def test_a_page_is_its_path(tmp_path: Path) -> None:
    """A page's id is its path: decoded, lower-case, without host, query, fragment and slash."""
    expected = {
        "/": "/",
        "": "/",
        "?utm=1": "/",
        "/Google+Redesign/Apparel/": "/google+redesign/apparel",
        "/A%20B/%C3%89?q=1#top": "/a b/é",
        "/bad%ff": "/bad%ff",
        "/a#x/y": "/a",
    }
    rows = [raw(seconds=place, page=page) for place, page in enumerate(expected)]
    events, _ = imported(tmp_path, rows)
    assert [event["page_id"] for event in events] == list(expected.values())


def test_long_texts_are_cut_between_characters_and_long_ids_cleared(tmp_path: Path) -> None:
    """Titles and paths are cut to 256 bytes at a character; ids that are too long are cleared."""
    row = raw(
        "purchase",
        page="/" + "é" * 200,
        title="x" + "😀" * 100,
        user_id="u" * 257,
        with_params={"transaction_id": "t" * 257},
    )
    events, report = imported(tmp_path, [row])
    assert events[0]["page_id"] == "/" + "é" * 127
    assert events[0]["page_title"] == "x" + "😀" * 63
    assert events[0]["user_id"] is None
    assert events[0]["order_id"] is None
    assert report.cleaned == {
        "order_id.too_long": 1,
        "page_id.cut": 1,
        "page_title.cut": 1,
        "user_id.too_long": 1,
    }


def test_device_becomes_a_word_of_the_vocabulary(tmp_path: Path) -> None:
    """Devices other than the three usual ones are other; language and offset are kept."""
    words = {"desktop": "desktop", "mobile": "mobile", "tablet": "tablet", "smart tv": "other"}
    rest = {"language": "de-ch", "time_zone_offset_seconds": -12600}
    rows = [raw(seconds=n, device={"category": word, **rest}) for n, word in enumerate(words)]
    events, _ = imported(tmp_path, rows)
    assert [event["device"] for event in events] == list(words.values())
    assert {(event["locale"], event["utc_offset_minutes"]) for event in events} == {("de-ch", -210)}


def test_measures_outside_their_limits_are_clipped_or_cleared_and_counted(tmp_path: Path) -> None:
    """Scroll and engagement are clipped, an impossible offset is cleared, all are counted."""
    row = raw(
        with_params={"percent_scrolled": 250, "engagement_time_msec": 10**12},
        device={"category": "mobile", "time_zone_offset_seconds": 10**6},
    )
    events, report = imported(tmp_path, [row])
    assert events[0]["scroll_percent"] == 100.0
    assert events[0]["engagement_ms"] == 86_400_000
    assert events[0]["utc_offset_minutes"] is None
    assert report.cleaned == {
        "engagement_ms.clipped": 1,
        "scroll_percent.clipped": 1,
        "utc_offset_minutes.out_of_range": 1,
    }


def test_numbers_that_are_none_are_cleared_and_counted(tmp_path: Path) -> None:
    """Text where a number belongs, and numbers that are not finite, are cleared and counted."""
    row = raw("purchase", with_params={"percent_scrolled": "far", "value": float("nan")})
    events, report = imported(tmp_path, [row])
    assert events[0]["scroll_percent"] is None
    assert events[0]["value_micros"] is None
    assert report.cleaned == {
        "scroll_percent.not_a_number": 1,
        "value_micros.not_a_number": 1,
    }


def test_search_terms_are_kept_as_a_hash_alone(tmp_path: Path) -> None:
    """The hash ignores case and outer blanks; hidden terms have none; terms are never written."""
    rows = [
        raw("search", 0, with_params={"search_term": "  Blue SOCKS "}),
        raw("view_search_results", 1, with_params={"search_term": "blue socks"}),
        raw("view_search_results", 2, with_params={"search_term": "<obfuscated>"}),
    ]
    events, _ = imported(tmp_path, rows)
    assert [event["type"] for event in events] == ["search"] * 3
    hashed = hash_id("blue socks")
    assert [event["search_terms_hash"] for event in events] == [hashed, hashed, None]
    written = [path for path in (tmp_path / "events").rglob("*") if path.is_file()]
    assert not any(b"ocks" in path.read_bytes().lower() for path in written)


@pytest.mark.parametrize("schema_value", [("Yes", "No", pa.string()), (1, 0, pa.int64())])
def test_consent_is_read_as_word_or_number(
    tmp_path: Path, schema_value: tuple[object, object, pa.DataType]
) -> None:
    """Storage consent counts as granted or denied, whether it is Yes and No or 1 and 0."""
    yes, no, found = schema_value
    privacy = pa.struct([("analytics_storage", found), ("ads_storage", found)])
    schema = with_column(SCHEMA, "privacy_info", privacy)
    rows = [
        raw(privacy_info={"analytics_storage": yes, "ads_storage": no}),
        raw(seconds=1, privacy_info={"analytics_storage": None, "ads_storage": yes}),
    ]
    events, _ = imported(tmp_path, rows, schema)
    found_pairs = [(event["consent_analytics"], event["consent_ads"]) for event in events]
    assert found_pairs == [("granted", "denied"), (None, "granted")]
    assert {event["is_bot"] for event in events} == {None}


@pytest.mark.parametrize("denied", ["No", "0", "denied"])
def test_who_denied_analytics_is_left_out(tmp_path: Path, denied: str) -> None:
    """By storage consent, or by the transient token that stands in for the cookie; both counted."""
    privacy = pa.struct([("analytics_storage", pa.string()), ("uses_transient_token", pa.string())])
    answers = [("Yes", "No"), (denied, "No"), (None, "Yes"), ("Yes", "Yes"), (None, None)]
    rows = [
        raw(
            seconds=place,
            user="" if place == 2 else f"100.{place}",
            privacy_info={"analytics_storage": storage, "uses_transient_token": token},
        )
        for place, (storage, token) in enumerate(answers)
    ]
    events, report = imported(tmp_path, rows, with_column(SCHEMA, "privacy_info", privacy))
    assert [event["anonymous_id"] for event in events] == ["100.0", "100.3", "100.4"]
    assert report.dropped == {"analytics_denied": 2}
    written = [path for path in (tmp_path / "events").rglob("*") if path.is_file()]
    assert not any(b"100.1" in path.read_bytes() for path in written)


def test_an_orders_value_and_currency(tmp_path: Path) -> None:
    """A purchase takes its value from the parameter, as number or text, in its currency."""
    order = {"purchase_revenue": 22.0, "transaction_id": "other"}
    rows = [
        raw(
            "purchase",
            n,
            with_params={"value": value, "currency": "chf", "transaction_id": f"T-{n}"},
            ecommerce=order,
        )
        for n, value in enumerate([21.6, "21.6", 21])
    ]
    events, _ = imported(tmp_path, rows)
    found = [(event["value_micros"], event["currency"], event["order_id"]) for event in events]
    assert found == [
        (21_600_000, "CHF", "T-0"),
        (21_600_000, "CHF", "T-1"),
        (21_000_000, "CHF", "T-2"),
    ]


def test_an_order_without_parameters_takes_the_ecommerce_record(tmp_path: Path) -> None:
    """Where the parameters lack them, value and order id come from the ecommerce columns."""
    row = raw("purchase", ecommerce={"purchase_revenue": 22.0, "transaction_id": "T-2"})
    event = _one(tmp_path, row)
    assert (event["value_micros"], event["order_id"], event["currency"]) == (
        22_000_000,
        "T-2",
        None,
    )


def test_nothing_of_an_order_leaks_into_other_events(tmp_path: Path) -> None:
    """Value and order id appear on purchases and refunds alone."""
    leak = {"value": 5.0, "transaction_id": "T", "session_engaged": "1", "user_ltv": 3}
    order = {"purchase_revenue": 9.0, "transaction_id": "T"}
    event = _one(tmp_path, raw("begin_checkout", with_params=leak, ecommerce=order))
    assert (event["value_micros"], event["order_id"], event["attributes"]) == (None, None, None)
    refund = _one(tmp_path / "refund", raw("refund", with_params=leak, ecommerce=order))
    assert (refund["value_micros"], refund["order_id"]) == (5_000_000, "T")


def test_items_keep_what_is_in_limits(tmp_path: Path) -> None:
    """Items keep id, categories, brand, price, quantity and position where these can be used."""
    items = [
        {
            "item_id": "a",
            "item_category": "Home",
            "item_category2": "(not set)",
            "item_category3": "Socks",
            "item_brand": "B",
            "price": 12.345678,
            "quantity": 3,
            "item_list_index": "4",
        },
        {"item_id": "b", "price": -1.0, "quantity": 2_343_434_535, "item_list_index": "Slide 1"},
        {"item_id": "(not set)", "price": 5.0},
        {"item_id": "c", "quantity": None},
    ]
    events, report = imported(tmp_path, [raw("add_to_cart", items=items)])
    nothing = {"price_micros": None, "quantity": None, "position": None, "on_sale": None}
    bare = {"category_path": None, "brand": None, **nothing}
    assert events[0]["items"] == [
        {
            "item_id": "a",
            "category_path": ["Home", "Socks"],
            "brand": "B",
            "price_micros": 12_345_678,
            "quantity": 3,
            "position": 4,
            "on_sale": None,
        },
        {"item_id": "b", **bare},
        {"item_id": "c", **bare},
    ]
    assert report.cleaned == {
        "items.missing_item_id": 1,
        "items.position.not_a_number": 1,
        "items.price_micros.out_of_range": 1,
        "items.quantity.out_of_range": 1,
    }


def test_items_beyond_the_limit_are_cut_and_counted(tmp_path: Path) -> None:
    """An event keeps its first 50 items."""
    items = [{"item_id": str(place)} for place in range(60)]
    events, report = imported(tmp_path, [raw("view_item_list", items=items)])
    assert [item["item_id"] for item in events[0]["items"]] == [str(n) for n in range(50)]
    assert report.cleaned == {"items.over_50": 10}


@pytest.mark.parametrize(
    ("shop", "event", "expected"),
    [
        ("", None, 9_000_000),
        ("USD", None, 9_000_000),
        ("CHF", None, None),
        ("CHF", "USD", 9_000_000),
    ],
)
def test_dollar_prices_stand_in_where_the_currency_is_dollars_or_unknown(
    tmp_path: Path, shop: str, event: str | None, expected: int | None
) -> None:
    """price_in_usd is taken for a missing price unless the currency is known to be another."""
    currency = {"currency": event} if event else {}
    row = raw("view_item", items=[{"item_id": "a", "price_in_usd": 9.0}], with_params=currency)
    assert _one(tmp_path, row, currency=shop)["items"][0]["price_micros"] == expected

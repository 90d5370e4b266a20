from __future__ import annotations

from typing import Any

import pytest

from micromoment.events.hashing import hash_id
from micromoment.events.schema import EVENT_SCHEMA
from tests.support.segment_calls import NOON, Call, call, imported, iso, track
from training.importers import ImportReport

PRODUCT = {
    "product_id": "p1",
    "sku": "s1",
    "category": "Shoes > Men > Boots",
    "brand": "Brand",
    "price": 19.99,
    "quantity": 2,
    "position": 3,
    "currency": "eur",
}
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 Safari/604.1"
IPAD = "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) Version/16.0 Mobile/15E148 Safari/604.1"
TABLET = "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 Chrome/120 Safari/537.36"
PHONE = "Mozilla/5.0 (Linux; Android 13; Pixel 7) Chrome/120.0.0.0 Mobile Safari/537.36"
CUBOT = "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) Chrome/120.0.0.0 Mobile Safari/537.36"
DESKTOP = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/120.0.0.0 Safari/537.36"
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def _preferences(**answers: object) -> dict[str, object]:
    return {"consent": {"categoryPreferences": answers}}


def _from(referrer: str | None, **campaign: str) -> dict[str, object]:
    page = {"url": "https://www.shop.example/a?x=1", "referrer": referrer}
    return {"page": page, "campaign": campaign}


CALLS: dict[str, Call] = {
    "viewed": track("Product Viewed", properties=PRODUCT),
    "text numbers": track(
        "Product Viewed", properties={"product_id": 17, "price": "5", "quantity": "x"}
    ),
    "sku": track("Product Added", properties={"sku": "s9", "price": -1, "category": "One"}),
    "no item": track("Product Viewed", properties={"price": 3}),
    "promotion": track("Promotion Viewed", properties={"id": "banner", "price": 1}),
    "searched": track("Products Searched", properties={"query": " Red Shoes "}),
    "listed": track(
        "Product List Viewed",
        properties={
            "category": "Shoes",
            "products": [{"product_id": "a", "position": 1}, {"name": "none"}, {"id": "b"}],
        },
    ),
    "crowded": track(
        "Product List Viewed", properties={"products": [{"product_id": f"p{n}"} for n in range(60)]}
    ),
    "ordered": track(
        "Order Completed",
        properties={
            "order_id": "o1",
            "total": 27.5,
            "revenue": 25,
            "value": 1,
            "currency": "EUR",
            "products": [PRODUCT, {"product_id": "p2", "price": 5}],
        },
    ),
    "revenue": track("Order Completed", properties={"order_id": 77, "revenue": "25.10"}),
    "refunded": track("Order Refunded", properties={"order_id": "o1", "total": -5}),
    "cancelled": track("Order Cancelled", properties={"order_id": "o1", "total": 27.5}),
    "cart": track("Cart Viewed", properties={"order_id": "o2", "value": 9, "cart_id": "c"}),
    "page": call(
        "page",
        name="Boots",
        properties={"path": "/Shoes/Boots/", "title": "All boots"},
        context={"page": {"path": "/other", "title": "Other", "url": "https://shop.example/o?q"}},
    ),
    "named page": call("page", name="Boots", context={"page": {"url": "https://s.example/b?q=1"}}),
    "screen": call("screen", name="Basket", context={"device": {"type": "ios"}}),
    "on page": track("Cart Viewed", context={"page": {"path": "/cart", "title": "Your cart"}}),
    "phone": track("Cart Viewed", context={"userAgent": IPHONE, "locale": "de-AT"}),
    "pixel": track("Cart Viewed", context={"userAgent": PHONE}),
    "cubot": track("Cart Viewed", context={"userAgent": CUBOT}),
    "ipad": track("Cart Viewed", context={"userAgent": IPAD}),
    "tablet": track("Cart Viewed", context={"userAgent": TABLET}),
    "desktop": track("Cart Viewed", context={"userAgent": DESKTOP}),
    "console": track("Cart Viewed", context={"userAgent": "Opera/9 (Nintendo 3DS)"}),
    "robot": track("Cart Viewed", context={"userAgent": ROBOT}),
    "library": track("Cart Viewed", context={"library": {"name": "analytics-kotlin"}}),
    "summer": track("Cart Viewed", context={"timezone": "Europe/Amsterdam"}),
    "half": track("Cart Viewed", context={"timezone": "Asia/Kolkata"}),
    "nowhere": track("Cart Viewed", context={"timezone": "Moon/Base"}),
    "direct": call("page", context=_from("")),
    "inside": call("page", context=_from("https://shop.example/start")),
    "unknown referrer": call("page", context=_from(None)),
    "organic": call("page", context=_from("https://www.google.co.uk/search?q=shoes")),
    "social": call("page", context=_from("https://l.facebook.com/x")),
    "mail": call("page", context=_from("https://mail.google.com/mail")),
    "referral": call("page", context=_from("https://blog.example/post")),
    "campaign": call(
        "page",
        context=_from("https://www.google.com/", name="spring", source="news", medium="email"),
    ),
    "unmediated": call("page", context=_from("https://www.google.com/", source="partner")),
    "paid": call("page", context={"page": {"url": "https://s.example/?gclid=1", "referrer": ""}}),
    "consents": track("Cart Viewed", context=_preferences(Advertising=True, Analytics=False)),
    "consent mode": track(
        "Cart Viewed",
        context=_preferences(
            ad_storage="granted",
            ad_user_data="denied",
            analytics_storage="granted",
            personalization_storage="denied",
        ),
    ),
    "one trust": track("Cart Viewed", context=_preferences(C0002=True, C0003=False, C0004=True)),
    "odd consents": track("Cart Viewed", context=_preferences(Analytics="maybe", Necessary=True)),
    "flat consents": track(
        "Cart Viewed",
        context={"consent": {"analytics": True, "marketing": "denied"}, "gpc": True},
    ),
    "two consents": track(
        "Cart Viewed",
        context={
            "consent": {"categoryPreferences": {"Analytics": True}, "performance": False},
            "globalPrivacyControl": "no",
        },
    ),
    "late": track("Cart Viewed", timestamp=iso(0), receivedAt=iso(90)),
    "offset": track("Cart Viewed", timestamp="2024-05-01T14:00:00+02:00"),
    "naive": track("Cart Viewed", timestamp="2024-05-01 12:00:00"),
    "in ms": track("Cart Viewed", timestamp=str(int(NOON.timestamp()) * 1000)),
    "sent": track("Cart Viewed", timestamp=None, originalTimestamp=None, sentAt=iso(0)),
    "bad time": track("Cart Viewed", timestamp="yesterday", originalTimestamp=iso(0)),
    "bad arrival": track("Cart Viewed", receivedAt="1970-01-01T00:00:00Z"),
}


# Of two answers for one purpose denial wins.
DENIED = ("consents", "two consents")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Call], ImportReport]:
    """Import all calls at once, each with a browser of its own; gives the events by name."""
    calls = [{**made, "messageId": name, "anonymousId": name} for name, made in CALLS.items()]
    events, report = imported(tmp_path_factory.mktemp("values"), calls)
    assert report.dropped == {"analytics_denied": len(DENIED)}
    assert report.rows_kept == len(calls) - len(DENIED)
    return {event["event_id"]: event for event in events}, report


@pytest.fixture
def event(found: tuple[dict[str, Call], ImportReport]) -> dict[str, Call]:
    """Give the events by name."""
    return found[0]


def test_a_product_is_read_whole(event: dict[str, Call]) -> None:
    """Id, category levels, brand, price, quantity and position come from the properties."""
    assert event["viewed"]["items"] == [
        {
            "item_id": "p1",
            "category_path": ["Shoes", "Men", "Boots"],
            "brand": "Brand",
            "price_micros": 19_990_000,
            "quantity": 2,
            "position": 3,
            "on_sale": None,
        }
    ]
    assert event["viewed"]["currency"] == "EUR"
    assert event["viewed"]["value_micros"] is None


def test_products_may_be_odd(event: dict[str, Call]) -> None:
    """Numbers may be texts, ids numbers; without an id there is no product, nor in a promotion."""
    assert event["text numbers"]["items"][0]["item_id"] == "17"
    assert event["text numbers"]["items"][0]["price_micros"] == 5_000_000
    assert event["text numbers"]["items"][0]["quantity"] is None
    assert event["sku"]["items"][0]["item_id"] == "s9"
    assert event["sku"]["items"][0]["price_micros"] is None
    assert event["sku"]["items"][0]["category_path"] == ["One"]
    assert event["no item"]["items"] is event["promotion"]["items"] is None


def test_lists_keep_their_order_and_their_limit(event: dict[str, Call]) -> None:
    """Products of a list keep their order; those without an id and beyond fifty are left out."""
    listed = event["listed"]["items"]
    assert [(i["item_id"], i["position"]) for i in listed] == [("a", 1), ("b", None)]
    assert len(event["crowded"]["items"]) == 50


def test_what_was_mended_is_counted(found: tuple[dict[str, Call], ImportReport]) -> None:
    """Each value that was cleared or cut is counted under its column and reason."""
    assert found[1].cleaned == {
        "consent.not_an_answer": 1,
        "event_time.not_a_time": 1,
        "items.missing_item_id": 1,
        "items.over_50": 10,
        "items.price_micros.out_of_range": 1,
        "items.quantity.not_a_number": 1,
        "received_time.out_of_range": 1,
    }


def test_orders_carry_their_total(event: dict[str, Call]) -> None:
    """The total comes before revenue and value; refunds are positive; carts carry no order."""
    facts = {
        name: (event[name]["order_id"], event[name]["value_micros"])
        for name in ("ordered", "revenue", "refunded", "cancelled", "cart")
    }
    assert facts == {
        "ordered": ("o1", 27_500_000),
        "revenue": ("77", 25_100_000),
        "refunded": ("o1", 5_000_000),
        "cancelled": ("o1", 27_500_000),
        "cart": (None, None),
    }
    assert [i["item_id"] for i in event["ordered"]["items"]] == ["p1", "p2"]


def test_search_terms_are_hashed(event: dict[str, Call]) -> None:
    """The terms themselves are nowhere in the event."""
    assert event["searched"]["search_terms_hash"] == hash_id("red shoes")
    assert "shoes" not in str(event["searched"]).lower()


def test_pages_come_from_the_call_then_from_its_context(event: dict[str, Call]) -> None:
    """A page call's own properties win; paths lose host, query and outer slash; rules type them."""
    pages = {
        name: (event[name]["page_id"], event[name]["page_title"], event[name]["page_type"])
        for name in ("page", "named page", "screen", "on page")
    }
    assert pages == {
        "page": ("/shoes/boots", "All boots", "other"),
        "named page": ("/b", "Boots", "other"),
        "screen": ("Basket", "Basket", "cart"),
        "on page": ("/cart", "Your cart", "cart"),
    }


def test_devices_are_told_by_user_agent_and_library(event: dict[str, Call]) -> None:
    """Phones, tablets, desktops and apps are told apart, robots marked; nothing else is kept."""
    expected = {
        "phone": ("mobile", False),
        "pixel": ("mobile", False),
        "cubot": ("mobile", False),
        "ipad": ("tablet", False),
        "tablet": ("tablet", False),
        "desktop": ("desktop", False),
        "console": ("other", False),
        "robot": ("other", True),
        "library": ("app", None),
        "screen": ("app", None),
        "viewed": (None, None),
    }
    assert {n: (event[n]["device"], event[n]["is_bot"]) for n in expected} == expected
    assert event["phone"]["locale"] == "de-AT"
    assert "iphone" not in str(event["phone"]).lower()


def test_time_zones_become_offsets(event: dict[str, Call]) -> None:
    """The visitor's offset is that of the event's time; an unknown zone has none."""
    zones = {n: event[n]["utc_offset_minutes"] for n in ("summer", "half", "nowhere", "viewed")}
    assert zones == {"summer": 120, "half": 330, "nowhere": None, "viewed": None}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("direct", ("direct", None, None)),
        ("inside", (None, None, None)),
        ("unknown referrer", (None, None, None)),
        ("organic", ("organic", None, "google.co.uk")),
        ("social", ("social", None, "l.facebook.com")),
        ("mail", ("email", None, "mail.google.com")),
        ("referral", ("referral", None, "blog.example")),
        ("campaign", ("email", "spring", "news")),
        ("unmediated", (None, None, "partner")),
        ("paid", ("paid", None, None)),
    ],
)
def test_referrers(event: dict[str, Call], name: str, expected: tuple[Any, ...]) -> None:
    """A campaign says where a visitor comes from, else the referring site, if not the shop."""
    columns = ("referrer_medium", "referrer_campaign", "referrer_source")
    assert tuple(event[name][column] for column in columns) == expected


@pytest.mark.parametrize("name", DENIED)
def test_who_denied_analytics_is_left_out(event: dict[str, Call], name: str) -> None:
    """None of their events is written; they are counted."""
    assert name not in event


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("consent mode", ("granted", "denied", "denied", None)),
        ("one trust", ("granted", "denied", "granted", None)),
        ("flat consents", ("granted", None, "denied", True)),
        ("odd consents", (None, None, None, None)),
        ("viewed", (None, None, None, None)),
    ],
)
def test_consent(event: dict[str, Call], name: str, expected: tuple[Any, ...]) -> None:
    """Answers come by category or in consent mode's names; of two for one purpose denial wins."""
    columns = ("consent_analytics", "consent_personalization", "consent_ads", "consent_gpc")
    assert tuple(event[name][column] for column in columns) == expected


def test_times_are_utc(event: dict[str, Call]) -> None:
    """All forms of one moment give that moment; arrival is kept beside it, where it makes sense."""
    for name in ("offset", "naive", "in ms", "sent", "bad time", "late"):
        assert event[name]["event_time"] == NOON, name
    assert (event["late"]["received_time"] - NOON).total_seconds() == 90 * 60
    assert event["bad arrival"]["received_time"] is None


def test_events_have_the_canonical_columns(event: dict[str, Call]) -> None:
    """Every event has exactly the schema's columns."""
    assert all(list(one) == EVENT_SCHEMA.names for one in event.values())

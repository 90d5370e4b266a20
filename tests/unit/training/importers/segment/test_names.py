from __future__ import annotations

import re
from pathlib import Path

import pytest

from micromoment.events.vocabulary import EventType, names
from tests.support.segment_calls import Call, call, imported, track
from training.importers.segment.names import segment_events

PAGE = Path(__file__).parents[5] / "docs" / "events.md"

TRACKED = {
    "Products Searched": "search",
    "Product List Viewed": "list_view",
    "Product List Filtered": "list_filter",
    "Product Clicked": "item_click",
    "Product Viewed": "item_view",
    "Product Added to Wishlist": "wishlist_add",
    "Product Removed from Wishlist": "wishlist_remove",
    "Wishlist Product Added to Cart": "cart_add",
    "Product Added": "cart_add",
    "Product Removed": "cart_remove",
    "Cart Viewed": "cart_view",
    "Checkout Started": "checkout_start",
    "Checkout Step Viewed": "checkout_step",
    "Checkout Step Completed": "checkout_step",
    "Payment Info Entered": "payment_info",
    "Coupon Entered": "coupon_enter",
    "Coupon Applied": "coupon_apply",
    "Coupon Denied": "coupon_deny",
    "Coupon Removed": "coupon_remove",
    "Order Completed": "purchase",
    "Order Refunded": "refund",
    "Order Cancelled": "cancel",
    "Promotion Viewed": "promo_view",
    "Promotion Clicked": "promo_click",
    "Product Reviewed": "review",
    "Product Shared": "share",
    "Cart Shared": "share",
    "Email Opened": "email_open",
    "Email Link Clicked": "email_click",
    "Video Playback Started": "video_start",
    "Video Content Playing": "video_progress",
    "Video Playback Completed": "video_progress",
    "Application Opened": "session_start",
    "Segment Consent Preference Updated": "consent_update",
    "Signed Up": "identify",
    "Live Chat Conversation Started": "support_contact",
    "product_viewed": "item_view",
    " PRODUCT-Viewed ": "item_view",
    "Viewed Product": "item_view",
    "Completed Order": "purchase",
    "Products Compared": "other",
    "Video Playback Paused": "other",
    "Checkout started!": "other",
}


@pytest.fixture(scope="module")
def types(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Call]:
    """Import one call of each kind; gives the events by what they were called."""
    calls = [
        track(name, place, messageId=name, properties={"order_id": name})
        for place, name in enumerate(TRACKED)
    ]
    calls += [call(kind, -1 - n, messageId=kind) for n, kind in enumerate(("page", "screen"))]
    calls.append(call("identify", -3, messageId="identify", userId="u"))
    calls.append(call("alias", -4, messageId="alias", userId="u", previousId="old"))
    events, report = imported(tmp_path_factory.mktemp("names"), calls)
    assert report.rows_kept == len(calls)
    return {event["event_id"]: event for event in events}


@pytest.mark.parametrize(("name", "expected"), [(n.strip(), t) for n, t in TRACKED.items()])
def test_each_name_has_its_type(types: dict[str, Call], name: str, expected: str) -> None:
    """Names of both specifications mean one type in any spelling; others are `other`, kept."""
    assert types[name]["type"] == expected
    kept = [("segment_event", name)] if expected == "other" else None
    assert types[name]["attributes"] == kept


def test_calls_without_a_name_have_a_type_too(types: dict[str, Call]) -> None:
    """Pages and screens are page views, identify and alias tell who somebody is."""
    assert types["page"]["type"] == types["screen"]["type"] == "page_view"
    assert types["identify"]["type"] == types["alias"]["type"] == "identify"


def test_names_are_unambiguous_and_canonical() -> None:
    """No kind of call stands twice, ranks rise, and types are words of the vocabulary."""
    entries = list(segment_events())
    keys = [key for key, _, _ in entries]
    assert len(keys) == len(set(keys))
    assert all(re.fullmatch(r"[a-z]+:[a-z ]*", key) for key in keys)
    assert {event_type for _, event_type, _ in entries} <= set(names(EventType))
    ranks = [rank for _, _, rank in entries]
    assert ranks == sorted(ranks)


def test_the_events_page_names_every_event_of_the_specification() -> None:
    """docs/events.md has each tracked name of the second specification that is known here."""
    text = PAGE.read_text(encoding="utf-8").lower()
    for name, event_type in list(TRACKED.items())[:36]:
        assert name.lower() in text, (name, event_type)

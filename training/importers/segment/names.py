"""What Segment's specifications call events, and the order in which those of one moment happen.

Names are compared in lower case with blanks between words, so that `Product Viewed`,
`product_viewed` and `Product-Viewed` are one. Names of the first e-commerce specification stand
beside those of the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from micromoment.events.vocabulary import EventType

# Calls that name no event of their own.
PAGE: Final = "page:"
SCREEN: Final = "screen:"
IDENTIFY: Final = "identify:"
ALIAS: Final = "alias:"
TRACK: Final = "track:"

# In the order within one timestamp.
_IN_ORDER: Final[tuple[tuple[EventType, tuple[str, ...]], ...]] = (
    (EventType.EMAIL_OPEN, ("email opened",)),
    (EventType.EMAIL_CLICK, ("email link clicked",)),
    (EventType.AD_CLICK, ("deep link clicked",)),
    (
        EventType.SESSION_START,
        ("application installed", "application opened", "deep link opened"),
    ),
    (
        EventType.CONSENT_UPDATE,
        ("segment consent preference updated", "segment consent preference"),
    ),
    (EventType.PAGE_VIEW, ()),
    (EventType.IDENTIFY, ("signed up", "signed in")),
    (EventType.PROMO_VIEW, ("promotion viewed", "viewed promotion")),
    (EventType.PROMO_CLICK, ("promotion clicked", "clicked promotion")),
    (EventType.LIST_VIEW, ("product list viewed", "viewed product category")),
    (EventType.SEARCH, ("products searched", "searched products")),
    (EventType.LIST_FILTER, ("product list filtered", "filtered product list")),
    (EventType.ITEM_CLICK, ("product clicked", "clicked product")),
    (EventType.ITEM_VIEW, ("product viewed", "viewed product")),
    (EventType.REVIEW, ("product reviewed", "reviewed product")),
    (EventType.SHARE, ("product shared", "shared product", "cart shared", "shared cart")),
    (EventType.VIDEO_START, ("video playback started",)),
    (
        EventType.VIDEO_PROGRESS,
        (
            "video content started",
            "video content playing",
            "video content completed",
            "video playback resumed",
            "video playback completed",
        ),
    ),
    (EventType.OTHER, ()),
    (EventType.WISHLIST_ADD, ("product added to wishlist", "added product to wishlist")),
    (
        EventType.WISHLIST_REMOVE,
        ("product removed from wishlist", "removed product from wishlist"),
    ),
    (
        EventType.CART_ADD,
        ("product added", "added product", "wishlist product added to cart"),
    ),
    (EventType.CART_REMOVE, ("product removed", "removed product")),
    (EventType.CART_VIEW, ("cart viewed", "viewed cart")),
    (EventType.COUPON_ENTER, ("coupon entered", "entered coupon")),
    (EventType.COUPON_APPLY, ("coupon applied", "applied coupon")),
    (EventType.COUPON_DENY, ("coupon denied", "denied coupon")),
    (EventType.COUPON_REMOVE, ("coupon removed", "removed coupon")),
    (EventType.CHECKOUT_START, ("checkout started", "started checkout")),
    (
        EventType.CHECKOUT_STEP,
        (
            "checkout step viewed",
            "viewed checkout step",
            "checkout step completed",
            "completed checkout step",
        ),
    ),
    (EventType.PAYMENT_INFO, ("payment info entered", "entered payment info")),
    (EventType.PURCHASE, ("order completed", "completed order")),
    (EventType.REFUND, ("order refunded", "refunded order")),
    (EventType.CANCEL, ("order cancelled", "order canceled", "cancelled order")),
    (EventType.SUPPORT_CONTACT, ("live chat conversation started", "live chat message sent")),
)
_CALLS: Final = {
    EventType.PAGE_VIEW: (PAGE, SCREEN),
    EventType.IDENTIFY: (IDENTIFY, ALIAS),
}

# Where names come that no specification has.
UNNAMED_TIE_RANK: Final = next(
    rank for rank, (event_type, _) in enumerate(_IN_ORDER) if event_type is EventType.OTHER
)


def segment_events() -> Iterator[tuple[str, str, int]]:
    """Give each kind of call (`page:`, `track:product viewed`) with its type and its tie rank."""
    for rank, (event_type, names) in enumerate(_IN_ORDER):
        calls = _CALLS.get(event_type, ())
        for key in (*calls, *(f"{TRACK}{name}" for name in names)):
            yield key, event_type.name.lower(), rank

"""What GA4 calls events, and the order in which events of one microsecond are taken to happen.

Events that a browser sends in one batch carry one timestamp, and the export shuffles them; without
a fixed order two imports would tell two histories. Visits begin, pages are shown, what is on them
is seen, searched and chosen, the page is read, then the cart and the checkout go their way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from micromoment.events.vocabulary import EventType

# In the order within one timestamp.
_IN_ORDER: Final[tuple[tuple[str, EventType], ...]] = (
    ("first_visit", EventType.SESSION_START),
    ("first_open", EventType.SESSION_START),
    ("session_start", EventType.SESSION_START),
    ("page_view", EventType.PAGE_VIEW),
    ("screen_view", EventType.PAGE_VIEW),
    ("sign_up", EventType.IDENTIFY),
    ("login", EventType.IDENTIFY),
    ("view_promotion", EventType.PROMO_VIEW),
    ("select_promotion", EventType.PROMO_CLICK),
    ("view_item_list", EventType.LIST_VIEW),
    ("search", EventType.SEARCH),
    ("view_search_results", EventType.SEARCH),
    ("select_item", EventType.ITEM_CLICK),
    ("view_item", EventType.ITEM_VIEW),
    ("scroll", EventType.SCROLL),
    ("click", EventType.LINK_CLICK),
    ("share", EventType.SHARE),
    ("file_download", EventType.DOWNLOAD),
    ("video_start", EventType.VIDEO_START),
    ("video_progress", EventType.VIDEO_PROGRESS),
    ("video_complete", EventType.VIDEO_PROGRESS),
    ("form_start", EventType.FORM_START),
    ("form_submit", EventType.FORM_SUBMIT),
    ("user_engagement", EventType.ENGAGEMENT),
    ("add_to_wishlist", EventType.WISHLIST_ADD),
    ("add_to_cart", EventType.CART_ADD),
    ("remove_from_cart", EventType.CART_REMOVE),
    ("view_cart", EventType.CART_VIEW),
    ("begin_checkout", EventType.CHECKOUT_START),
    ("add_shipping_info", EventType.CHECKOUT_STEP),
    ("add_payment_info", EventType.PAYMENT_INFO),
    ("purchase", EventType.PURCHASE),
    ("refund", EventType.REFUND),
)

# Names that GA4 doesn't define come just before the time spent on the page.
UNNAMED_TIE_RANK: Final = next(
    place for place, (name, _) in enumerate(_IN_ORDER) if name == "user_engagement"
)


def ga4_events() -> Iterator[tuple[str, str, int]]:
    """Give each GA4 event name with its canonical type and its rank within one timestamp."""
    for place, (name, event_type) in enumerate(_IN_ORDER):
        rank = place if place < UNNAMED_TIE_RANK else place + 1
        yield name, event_type.name.lower(), rank

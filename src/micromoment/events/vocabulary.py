"""The words of an event: its type, page type, device and referrer, and the groups of types.

Numbers equal those of `protos/micromoment/v1/events.proto` and are part of the stored format:
they are never reused. The lower-case names are what Parquet files and documentation use.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class EventType(IntEnum):
    """What happened. `docs/events.md` maps Segment, GA4 and Snowplow names to these."""

    PAGE_VIEW = 1
    SEARCH = 2
    LIST_VIEW = 3
    LIST_FILTER = 4
    ITEM_CLICK = 5
    ITEM_VIEW = 6
    WISHLIST_ADD = 7
    WISHLIST_REMOVE = 8
    CART_ADD = 9
    CART_REMOVE = 10
    CART_VIEW = 11
    CHECKOUT_START = 12
    CHECKOUT_STEP = 13
    PAYMENT_INFO = 14
    PAYMENT_ERROR = 15
    COUPON_ENTER = 16
    COUPON_APPLY = 17
    COUPON_DENY = 18
    COUPON_REMOVE = 19
    PURCHASE = 20
    REFUND = 21
    CANCEL = 22
    PROMO_VIEW = 23
    PROMO_CLICK = 24
    REVIEW = 25
    SHARE = 26
    COMPARE = 27
    SCROLL = 28
    HOVER = 29
    EXPAND = 30
    DEAD_CLICK = 31
    FORM_START = 32
    FORM_SUBMIT = 33
    FORM_ABANDON = 34
    VIDEO_START = 35
    VIDEO_PROGRESS = 36
    VIDEO_REPLAY = 37
    DOWNLOAD = 38
    EMAIL_OPEN = 39
    EMAIL_CLICK = 40
    AD_CLICK = 41
    IDENTIFY = 42
    CONSENT_UPDATE = 43
    SUPPORT_CONTACT = 44
    SESSION_START = 45
    ENGAGEMENT = 46
    LINK_CLICK = 47
    OTHER = 48


class PageType(IntEnum):
    """What kind of page was shown."""

    UNSPECIFIED = 0
    HOME = 1
    LIST = 2
    ITEM = 3
    SEARCH = 4
    CART = 5
    CHECKOUT = 6
    CONFIRMATION = 7
    ACCOUNT = 8
    POLICY = 9
    CONTENT = 10
    ERROR = 11
    OTHER = 12


class DeviceType(IntEnum):
    """What kind of device was in use."""

    UNSPECIFIED = 0
    DESKTOP = 1
    MOBILE = 2
    TABLET = 3
    APP = 4
    OTHER = 5


class ReferrerMedium(IntEnum):
    """What kind of source brought the visitor."""

    UNSPECIFIED = 0
    DIRECT = 1
    ORGANIC = 2
    PAID = 3
    REFERRAL = 4
    EMAIL = 5
    SOCIAL = 6
    AFFILIATE = 7
    DISPLAY = 8
    OTHER = 9


class ConsentState(IntEnum):
    """One purpose's answer."""

    UNSPECIFIED = 0
    GRANTED = 1
    DENIED = 2


class JourneyStage(IntEnum):
    """The micro-moment that a visit is in."""

    UNSPECIFIED = 0
    LEARN = 1
    DISCOVER = 2
    DECIDE = 3
    DO = 4


class EventGroup(IntEnum):
    """The fixed alphabet of 16 symbols over which transitions are counted."""

    OTHER = 0
    HOME = 1
    CONTENT = 2
    LIST = 3
    SEARCH = 4
    ITEM = 5
    ITEM_CLICK = 6
    PROMO = 7
    MICRO = 8
    WISHLIST = 9
    CART_ADD = 10
    CART_REMOVE = 11
    CART_VIEW = 12
    CHECKOUT = 13
    PAYMENT = 14
    ACCOUNT = 15


N_EVENT_TYPES: Final = max(EventType) + 1
N_EVENT_GROUPS: Final = len(EventGroup)
N_PAGE_TYPES: Final = max(PageType) + 1

# What may be reported outside a visit: facts about an order or a customer, not behaviour.
OUTSIDE_VISIT_TYPES: Final = frozenset(
    {
        EventType.PURCHASE,
        EventType.REFUND,
        EventType.CANCEL,
        EventType.EMAIL_OPEN,
        EventType.SUPPORT_CONTACT,
    }
)

GROUP_OF_TYPE: Final[dict[EventType, EventGroup]] = {
    EventType.SEARCH: EventGroup.SEARCH,
    EventType.LIST_VIEW: EventGroup.LIST,
    EventType.LIST_FILTER: EventGroup.LIST,
    EventType.ITEM_CLICK: EventGroup.ITEM_CLICK,
    EventType.ITEM_VIEW: EventGroup.ITEM,
    EventType.REVIEW: EventGroup.ITEM,
    EventType.COMPARE: EventGroup.ITEM,
    EventType.SHARE: EventGroup.ITEM,
    EventType.WISHLIST_ADD: EventGroup.WISHLIST,
    EventType.WISHLIST_REMOVE: EventGroup.WISHLIST,
    EventType.CART_ADD: EventGroup.CART_ADD,
    EventType.CART_REMOVE: EventGroup.CART_REMOVE,
    EventType.CART_VIEW: EventGroup.CART_VIEW,
    EventType.CHECKOUT_START: EventGroup.CHECKOUT,
    EventType.CHECKOUT_STEP: EventGroup.CHECKOUT,
    EventType.COUPON_ENTER: EventGroup.CHECKOUT,
    EventType.COUPON_APPLY: EventGroup.CHECKOUT,
    EventType.COUPON_DENY: EventGroup.CHECKOUT,
    EventType.COUPON_REMOVE: EventGroup.CHECKOUT,
    EventType.PAYMENT_INFO: EventGroup.PAYMENT,
    EventType.PAYMENT_ERROR: EventGroup.PAYMENT,
    EventType.PROMO_VIEW: EventGroup.PROMO,
    EventType.PROMO_CLICK: EventGroup.PROMO,
    EventType.EMAIL_CLICK: EventGroup.PROMO,
    EventType.AD_CLICK: EventGroup.PROMO,
    EventType.SCROLL: EventGroup.MICRO,
    EventType.HOVER: EventGroup.MICRO,
    EventType.EXPAND: EventGroup.MICRO,
    EventType.DEAD_CLICK: EventGroup.MICRO,
    EventType.VIDEO_START: EventGroup.MICRO,
    EventType.VIDEO_PROGRESS: EventGroup.MICRO,
    EventType.VIDEO_REPLAY: EventGroup.MICRO,
    EventType.IDENTIFY: EventGroup.ACCOUNT,
}

# A page view takes the group of its page.
GROUP_OF_PAGE: Final[dict[PageType, EventGroup]] = {
    PageType.HOME: EventGroup.HOME,
    PageType.LIST: EventGroup.LIST,
    PageType.ITEM: EventGroup.ITEM,
    PageType.SEARCH: EventGroup.SEARCH,
    PageType.CART: EventGroup.CART_VIEW,
    PageType.CHECKOUT: EventGroup.CHECKOUT,
    PageType.ACCOUNT: EventGroup.ACCOUNT,
    PageType.POLICY: EventGroup.CONTENT,
    PageType.CONTENT: EventGroup.CONTENT,
    PageType.OTHER: EventGroup.CONTENT,
    PageType.UNSPECIFIED: EventGroup.CONTENT,
}

STAGE_OF_GROUP: Final[dict[EventGroup, JourneyStage]] = {
    EventGroup.HOME: JourneyStage.LEARN,
    EventGroup.CONTENT: JourneyStage.LEARN,
    EventGroup.PROMO: JourneyStage.LEARN,
    EventGroup.LIST: JourneyStage.DISCOVER,
    EventGroup.SEARCH: JourneyStage.DISCOVER,
    EventGroup.ITEM_CLICK: JourneyStage.DISCOVER,
    EventGroup.ITEM: JourneyStage.DECIDE,
    EventGroup.WISHLIST: JourneyStage.DECIDE,
    EventGroup.CART_ADD: JourneyStage.DECIDE,
    EventGroup.CART_REMOVE: JourneyStage.DECIDE,
    EventGroup.CART_VIEW: JourneyStage.DECIDE,
    EventGroup.CHECKOUT: JourneyStage.DO,
    EventGroup.PAYMENT: JourneyStage.DO,
}


def names(vocabulary: type[IntEnum]) -> dict[str, int]:
    """Map each lower-case name of a vocabulary to its number."""
    return {member.name.lower(): int(member) for member in vocabulary}

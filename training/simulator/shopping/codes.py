"""The codes that the simulator's records hold."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

N_CATEGORIES: Final = 6

# Shelves: one per category, then the sale, then one per category as the search shows it.
SALE_SHELF: Final = N_CATEGORIES
SEARCH_SHELF: Final = N_CATEGORIES + 1
N_SHELVES: Final = 2 * N_CATEGORIES + 1


class Kind(IntEnum):
    """Kind of a row; its lower-case name is the GA4 event_name."""

    SESSION_START = 0
    FIRST_VISIT = 1
    PAGE_VIEW = 2
    SCROLL = 3
    USER_ENGAGEMENT = 4
    VIEW_PROMOTION = 5
    SELECT_PROMOTION = 6
    VIEW_SEARCH_RESULTS = 7
    SELECT_ITEM = 8
    VIEW_ITEM = 9
    ADD_TO_CART = 10
    REMOVE_FROM_CART = 11
    VIEW_CART = 12
    BEGIN_CHECKOUT = 13
    ADD_SHIPPING_INFO = 14
    ADD_PAYMENT_INFO = 15
    PURCHASE = 16


class Page(IntEnum):
    """The page on the screen."""

    HOME = 0
    SHELF = 1
    SEARCH = 2
    ITEM = 3
    SHIPPING = 4
    RETURNS = 5
    CART = 6
    ADDRESS = 7
    PAYMENT = 8
    CONFIRMATION = 9


class Holds(IntEnum):
    """What the items[] of a row hold."""

    NOTHING = 0
    ITEM = 1
    SHELF = 2
    CART = 3
    PROMOTION = 4


class Act(IntEnum):
    """What a shopper does next; CHOOSE leaves it to the moment."""

    CHOOSE = 0
    LEAVE = 1
    READ = 2
    GO_HOME = 3
    CLICK_PROMOTION = 4
    OPEN_SHELF = 5
    SEARCH = 6
    CLICK_ITEM = 7
    OPEN_ITEM = 8
    READ_POLICY = 9
    ADD = 10
    REMOVE = 11
    OPEN_CART = 12
    START_CHECKOUT = 13
    REPEAT_CHECKOUT = 14
    GIVE_ADDRESS = 15
    OPEN_PAYMENT = 16
    BUY = 17
    REPEAT_PURCHASE = 18


class Channel(IntEnum):
    """What brought a visit."""

    DIRECT = 0
    ORGANIC = 1
    PAID = 2
    REFERRAL = 3
    EMAIL = 4

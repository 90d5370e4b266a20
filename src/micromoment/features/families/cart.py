"""The cart: what went in and out, and how long ago.

Quantities and values are counted for any number of products; which product it was is told apart
for 16 of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.record import MISSING_MICROS
from micromoment.events.vocabulary import EventType, PageType
from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.families.items import acted_on, find_slot, slot_of_item
from micromoment.features.spec import FeatureSpec

STATE_FIELDS = [
    ("n_cart_adds", "i4"),
    ("n_cart_removes", "i4"),
    ("n_readds", "i4"),
    ("events_at_first_add", "i4"),
    ("cart_quantity", "i8"),
    ("cart_value", "f8"),  # currency units
    ("last_add_time", "i8"),
    ("cart_priced", "u1"),  # the value rests on at least one known price
    ("cart_viewed", "u1"),
]

FEATURES = (
    FeatureSpec("n_cart_adds", "events", "additions to the cart",
                group="cart", says=wording.count("Nothing put into the cart",
                    "One addition to the cart", "{} additions to the cart")),
    FeatureSpec("n_cart_removes", "events", "removals from the cart",
                group="cart", says=wording.count("Nothing taken out of the cart",
                    "One removal from the cart", "{} removals from the cart")),
    FeatureSpec("same_item_readds", "events", "additions of a product added before",
                group="cart", says=wording.count("No product added again",
                    "One product added again", "{} times a product was added again")),
    FeatureSpec("cart_qty", "pieces", "pieces in the cart",
                group="cart", says=wording.count("Cart is empty", "Cart holds 1 piece",
                    "Cart holds {} pieces")),
    FeatureSpec("cart_value", "currency", "value of the cart", "no priced product in it",
                group="cart", says=wording.money("Cart is worth {}",
                    "Nothing with a price in the cart")),
    FeatureSpec("secs_since_last_add", "s", "time since the last addition", "no addition",
                group="cart", says=wording.elapsed("Last addition to the cart was {} ago",
                    "Nothing put into the cart", "Something was just put into the cart")),
    FeatureSpec("events_since_first_add", "events", "events after the first one", "no addition",
                group="cart", says=wording.count("Something was just put into the cart",
                    "One event since the first addition to the cart",
                    "{} events since the first addition to the cart", "Nothing put into the cart")),
    FeatureSpec("cart_viewed", "0/1", "the cart was looked at",
                group="cart", says=wording.fact("Has not looked at the cart",
                    "Has looked at the cart")),
)  # fmt: skip

_CART_ADD = int(EventType.CART_ADD)
_CART_REMOVE = int(EventType.CART_REMOVE)
_CART_VIEW = int(EventType.CART_VIEW)
_CHECKOUT_START = int(EventType.CHECKOUT_START)
_PURCHASE = int(EventType.PURCHASE)
_PAGE_VIEW = int(EventType.PAGE_VIEW)
_CART_PAGE = int(PageType.CART)
_COUNTER_CAP = 32_767


@compiled
def observe(state: Any, event: Any, items: Any, now: int) -> None:
    """Fold one event with its items at feature time `now`; `n_events` counts it already."""
    kind = event["type"]
    if kind == _CART_ADD:
        _add(state, items, now)
    elif kind == _CART_REMOVE:
        _remove(state, items)
    elif kind == _CART_VIEW or (kind == _PAGE_VIEW and event["page_type"] == _CART_PAGE):
        state["cart_viewed"] = 1
        _take_over(state, items)
    elif kind == _CHECKOUT_START:
        _take_over(state, items)
    elif kind == _PURCHASE:
        _empty(state)


@compiled
def _add(state: Any, items: Any, now: int) -> None:
    state["n_cart_adds"] += 1
    state["last_add_time"] = now
    if state["n_cart_adds"] == 1:
        state["events_at_first_add"] = state["n_events"]
    if _any_added_before(state, items):
        state["n_readds"] += 1
    named = False
    for index in range(len(items)):
        item = items[index]
        if acted_on(item, len(items)):
            named = True
            _put(state, item)
            slot = slot_of_item(state, item["item"])
            if slot >= 0 and state["item_adds"][slot] < _COUNTER_CAP:
                state["item_adds"][slot] += 1
    if not named:
        state["cart_quantity"] += 1


@compiled
def _any_added_before(state: Any, items: Any) -> bool:
    # Asked before any line is counted: one product in two lines of an event is added once.
    for index in range(len(items)):
        if acted_on(items[index], len(items)):
            slot = find_slot(state["item_keys"], state["n_item_slots"], items[index]["item"])
            if slot >= 0 and state["item_adds"][slot] > 0:
                return True
    return False


@compiled
def _put(state: Any, item: Any) -> None:
    quantity = max(item["quantity"], 1)
    state["cart_quantity"] += quantity
    if item["price"] != MISSING_MICROS:
        state["cart_value"] += quantity * (item["price"] / 1e6)
        state["cart_priced"] = 1


@compiled
def _remove(state: Any, items: Any) -> None:
    state["n_cart_removes"] += 1
    named = False
    for index in range(len(items)):
        item = items[index]
        if acted_on(item, len(items)):
            named = True
            quantity = max(item["quantity"], 1)
            state["cart_quantity"] -= min(quantity, state["cart_quantity"])
            if item["price"] != MISSING_MICROS:
                worth = quantity * (item["price"] / 1e6)
                state["cart_value"] = max(state["cart_value"] - worth, 0.0)
    if not named and state["cart_quantity"] > 0:
        state["cart_quantity"] -= 1
    if state["cart_quantity"] == 0:
        _empty(state)


@compiled
def _take_over(state: Any, items: Any) -> None:
    # A cart or checkout event that lists quantities states the whole cart.
    quantity = 0
    for index in range(len(items)):
        quantity += items[index]["quantity"]
    if quantity == 0:
        return
    _empty(state)
    for index in range(len(items)):
        if items[index]["quantity"] > 0:
            _put(state, items[index])


@compiled
def _empty(state: Any) -> None:
    state["cart_quantity"] = 0
    state["cart_value"] = 0.0
    state["cart_priced"] = 0


@compiled
def describe(state: Any, now: int, out: Any) -> None:
    """Write the family's features as of `now`."""
    added = state["n_cart_adds"] > 0
    out["n_cart_adds"] = state["n_cart_adds"]
    out["n_cart_removes"] = state["n_cart_removes"]
    out["same_item_readds"] = state["n_readds"]
    out["cart_qty"] = state["cart_quantity"]
    out["cart_value"] = state["cart_value"] if state["cart_priced"] else np.nan
    out["secs_since_last_add"] = (now - state["last_add_time"]) / 1e6 if added else np.nan
    first = state["events_at_first_add"]
    out["events_since_first_add"] = state["n_events"] - first if added else np.nan
    out["cart_viewed"] = state["cart_viewed"]

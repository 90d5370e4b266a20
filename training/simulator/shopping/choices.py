"""What a shopper does next: one function per kind of page.

Each is a short list of questions in the order in which they come to mind, answered by chance with
the log-odds given. The answers rest on what the shopper feels; a look at the same item again means
a sale when its price is within the budget and a dream when it is not; the shipping page reassures
whoever has a full cart and puts off whoever has a small one.
"""

from __future__ import annotations

from training.simulator.shopping.catalogue import Shop
from training.simulator.shopping.codes import N_CATEGORIES, SALE_SHELF, Act, Page
from training.simulator.shopping.compiled import compiled
from training.simulator.shopping.records import Record
from training.simulator.shopping.streams import Stream, below, chance, uniform
from training.simulator.shopping.taste import (
    appetite,
    cart_value,
    catching_item,
    fondest_memory,
    line_of,
    strain,
    times_looked,
    want,
    weariness,
)

FREE_SHIPPING_FROM = 50.0


@compiled
def choose(shop: Shop, shopper: Record, visit: Record, rng: Stream) -> int:
    """Choose the next act from the page at hand; an act's aim goes to `target` or `shelf`."""
    page = visit["page"]
    if visit["has_read"] == 0 and chance(rng, 0.9 + 0.3 * shopper["patience"]):
        return Act.READ
    if visit["converted"] == 1:
        return Act.LEAVE if uniform(rng) < 0.85 else Act.GO_HOME
    if page == Page.ITEM:
        return _on_item(shop, shopper, visit, rng)
    if page == Page.CART:
        return _on_cart(shop, shopper, visit, rng)
    if page in (Page.ADDRESS, Page.PAYMENT):
        return _in_checkout(shop, shopper, visit, rng)
    if page in (Page.SHIPPING, Page.RETURNS):
        return _on_policy(shopper, visit, rng)
    return _on_list(shop, shopper, visit, rng)


@compiled
def _gives_up(shopper: Record, visit: Record, rng: Stream, base: float) -> bool:
    return chance(rng, base - 0.4 * appetite(visit) + weariness(shopper, visit))


@compiled
def _on_list(shop: Shop, shopper: Record, visit: Record, rng: Stream) -> int:
    page = visit["page"]
    bounce = 1.5 if visit["steps"] <= 3 else 0.0
    if _gives_up(shopper, visit, rng, bounce - 2.0):
        return Act.LEAVE
    if visit["cart_lines"] > 0 and chance(rng, -0.9 + 0.5 * appetite(visit)):
        return Act.OPEN_CART
    if page == Page.HOME and chance(rng, -2.4 + 0.9 * shopper["thrift"]):
        return Act.CLICK_PROMOTION
    if page in (Page.SHELF, Page.SEARCH):
        item = catching_item(shop, shopper, visit["shelf"], rng)
        if chance(rng, 0.5 + 0.6 * want(shop, shopper, item) + 0.2 * appetite(visit)):
            visit["target"] = item
            return Act.CLICK_ITEM if uniform(rng) < 0.4 else Act.OPEN_ITEM
    return _look_elsewhere(shopper, visit, rng)


@compiled
def _look_elsewhere(shopper: Record, visit: Record, rng: Stream) -> int:
    if chance(rng, -2.0 + 0.35 * visit["intent"]):
        return Act.SEARCH
    if visit["page"] != Page.HOME and uniform(rng) < 0.1:
        return Act.GO_HOME
    if chance(rng, -2.6 + 0.9 * shopper["thrift"]):
        visit["shelf"] = SALE_SHELF
    elif uniform(rng) < 0.7:
        visit["shelf"] = visit["mission"]
    else:
        visit["shelf"] = below(rng, N_CATEGORIES)
    return Act.OPEN_SHELF


@compiled
def _on_item(shop: Shop, shopper: Record, visit: Record, rng: Stream) -> int:
    item = visit["item"]
    bounce = 1.4 if visit["steps"] <= 3 else 0.0
    wanted = want(shop, shopper, item)
    if _gives_up(shopper, visit, rng, bounce - 1.9 - 0.25 * wanted):
        return Act.LEAVE
    if line_of(visit, item) < 0:
        dear = strain(shop.price[item], shopper["budget"])
        again = times_looked(visit, item) - 1
        resolve = again * (1.5 if dear == 0.0 else -1.0)
        if chance(rng, -2.6 + 0.7 * appetite(visit) + 0.7 * wanted + resolve):
            return Act.ADD
    elif chance(rng, 0.1 + 0.4 * appetite(visit)):
        return Act.OPEN_CART
    if visit["policy_read"] == 0 and chance(rng, -3.2 + 0.9 * shopper["caution"]):
        return Act.READ_POLICY
    memory = fondest_memory(shop, shopper, visit)
    if memory >= 0 and chance(rng, -1.0 + 0.6 * shopper["caution"]):
        visit["target"] = memory
        return Act.OPEN_ITEM
    if uniform(rng) < 0.65:
        return Act.OPEN_SHELF
    return _look_elsewhere(shopper, visit, rng)


@compiled
def _on_policy(shopper: Record, visit: Record, rng: Stream) -> int:
    if _gives_up(shopper, visit, rng, -1.5):
        return Act.LEAVE
    if visit["cart_lines"] > 0:
        return Act.OPEN_CART
    return _look_elsewhere(shopper, visit, rng)


@compiled
def _on_cart(shop: Shop, shopper: Record, visit: Record, rng: Stream) -> int:
    if _gives_up(shopper, visit, rng, -2.0):
        return Act.LEAVE
    if visit["cart_lines"] == 0:
        return _look_elsewhere(shopper, visit, rng)
    over = strain(cart_value(shop, visit), 2.0 * shopper["budget"])
    if over > 0.0 and visit["cart_lines"] > 1 and uniform(rng) < 0.6:
        return Act.REMOVE
    if uniform(rng) < 0.03 + (0.1 if over > 0.0 else 0.0):
        return Act.REMOVE
    if visit["policy_read"] == 0 and chance(rng, -1.7 + 0.9 * shopper["caution"]):
        return Act.READ_POLICY
    if chance(rng, -0.8 + 0.7 * appetite(visit) - 1.5 * over):
        return Act.START_CHECKOUT
    return _look_elsewhere(shopper, visit, rng)


@compiled
def _in_checkout(shop: Shop, shopper: Record, visit: Record, rng: Stream) -> int:
    shock = 0.0
    if visit["policy_read"] == 0 and cart_value(shop, visit) < FREE_SHIPPING_FROM:
        shock = 0.9 * shopper["thrift"]
    clumsy = 0.5 * shopper["on_phone"]
    if _gives_up(shopper, visit, rng, -2.3 + shock + clumsy - 0.3 * shopper["patience"]):
        return Act.LEAVE
    if uniform(rng) < 0.06:
        return Act.OPEN_CART
    if visit["page"] == Page.ADDRESS:
        return Act.GIVE_ADDRESS if visit["address_given"] == 0 else Act.OPEN_PAYMENT
    over = strain(cart_value(shop, visit), 2.0 * shopper["budget"])
    return Act.BUY if chance(rng, 1.6 + 0.6 * appetite(visit) - 1.5 * over) else Act.OPEN_PAYMENT

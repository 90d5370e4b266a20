"""What a shopper wants: hidden quantities on the scale of log-odds."""

from __future__ import annotations

import math

from training.simulator.shopping.catalogue import Shop
from training.simulator.shopping.compiled import compiled
from training.simulator.shopping.records import CART_LINES, LOOKS, N_STYLES, SHELF_LENGTH, Record
from training.simulator.shopping.streams import Stream, normal


@compiled
def liking(shop: Shop, shopper: Record, item: int) -> float:
    """How well an item suits the shopper, whatever it costs."""
    total = shop.appeal[item] + shopper["taste"][shop.category[item]]
    for k in range(N_STYLES):
        total += shop.style[item, k] * shopper["style"][k]
    return total


@compiled
def strain(amount: float, budget: float) -> float:
    """How far an amount lies above a budget, as a log-ratio; 0 within it."""
    return max(0.0, math.log(max(amount, 0.01) / budget))


@compiled
def want(shop: Shop, shopper: Record, item: int) -> float:
    """How much the shopper would have an item at its price."""
    bargain = 0.7 * shopper["thrift"] * shop.on_sale[item]
    dear = (1.0 + shopper["thrift"]) * strain(shop.price[item], shopper["budget"])
    return liking(shop, shopper, item) + bargain - dear


@compiled
def appetite(visit: Record) -> float:
    """How ready the shopper is to buy at this moment."""
    return visit["intent"] + visit["desire"] - visit["doubt"]


@compiled
def weariness(shopper: Record, visit: Record) -> float:
    """How much the length of the visit tells on the shopper."""
    return visit["steps"] / 16.0 * math.exp(-0.35 * shopper["patience"])


@compiled
def catching_item(shop: Shop, shopper: Record, shelf: int, rng: Stream) -> int:
    """Pick the item of a shelf that catches the eye: the dearest to the heart, with noise."""
    best = -1
    best_pull = -1e9
    for place in range(SHELF_LENGTH):
        item = shop.shelves[shelf, place]
        if item >= 0:
            pull = 0.8 * want(shop, shopper, item) - 0.06 * place + normal(rng)
            if pull > best_pull:
                best = item
                best_pull = pull
    return best


@compiled
def times_looked(visit: Record, item: int) -> int:
    """Count the looks at an item in this visit."""
    for k in range(visit["n_looks"]):
        if visit["looked_items"][k] == item:
            return visit["look_counts"][k]
    return 0


@compiled
def note_look(visit: Record, item: int) -> None:
    """Remember a look; beyond the shopper's memory, new items are forgotten at once."""
    for k in range(visit["n_looks"]):
        if visit["looked_items"][k] == item:
            visit["look_counts"][k] += 1
            return
    if visit["n_looks"] < LOOKS:
        visit["looked_items"][visit["n_looks"]] = item
        visit["look_counts"][visit["n_looks"]] = 1
        visit["n_looks"] += 1


@compiled
def fondest_memory(shop: Shop, shopper: Record, visit: Record) -> int:
    """Find the best liked item seen before, neither shown now nor in the cart; -1 without one."""
    best = -1
    best_liking = 0.3
    for k in range(visit["n_looks"]):
        item = visit["looked_items"][k]
        if item != visit["item"] and line_of(visit, item) < 0:
            like = liking(shop, shopper, item) - 0.3 * visit["look_counts"][k]
            if like > best_liking:
                best = item
                best_liking = like
    return best


@compiled
def line_of(visit: Record, item: int) -> int:
    """Find the cart's line with an item; -1 without one."""
    for line in range(visit["cart_lines"]):
        if visit["cart_items"][line] == item:
            return line
    return -1


@compiled
def cart_value(shop: Shop, visit: Record) -> float:
    """Sum up the cart, in dollars."""
    total = 0.0
    for line in range(visit["cart_lines"]):
        total += shop.price[visit["cart_items"][line]] * visit["cart_quantities"][line]
    return total


@compiled
def put_in_cart(visit: Record, item: int) -> bool:
    """Add one piece of an item; False if the cart has no line left."""
    line = line_of(visit, item)
    if line < 0:
        if visit["cart_lines"] == CART_LINES:
            return False
        line = visit["cart_lines"]
        visit["cart_lines"] += 1
        visit["cart_items"][line] = item
        visit["cart_quantities"][line] = 0
    visit["cart_quantities"][line] += 1
    return True


@compiled
def take_from_cart(visit: Record, line: int) -> None:
    """Remove a whole line; the later ones move up."""
    visit["cart_lines"] -= 1
    for k in range(line, visit["cart_lines"]):
        visit["cart_items"][k] = visit["cart_items"][k + 1]
        visit["cart_quantities"][k] = visit["cart_quantities"][k + 1]

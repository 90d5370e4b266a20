"""One visit: how it opens, its step, and what it leaves behind.

`step` is the only definition of a visit's course; the simulation and the roll-outs of the truth
both call it. Rows of one step share one timestamp, as those of a browser batch do, so that every
step that emits is one decision point. Only an order has two: the confirmation page, and the
purchase about a millisecond later.
"""

from __future__ import annotations

import math
from typing import Final

from training.simulator.shopping.acts import perform
from training.simulator.shopping.catalogue import Shop
from training.simulator.shopping.choices import choose
from training.simulator.shopping.codes import N_CATEGORIES, SALE_SHELF, Act, Channel
from training.simulator.shopping.compiled import compiled
from training.simulator.shopping.emission import Batch
from training.simulator.shopping.records import CART_LINES, Record
from training.simulator.shopping.rhythm import DAY_US, mood_of_hour
from training.simulator.shopping.streams import Stream, below, normal, uniform
from training.simulator.shopping.taste import catching_item

MAX_STEPS: Final = 160


@compiled
def step(shop: Shop, shopper: Record, visit: Record, rng: Stream, batch: Batch) -> None:
    """Take the visit one batch further, in place.

    The batch's former rows are replaced: by none when the shopper has left (`visit["ended"]` is
    then 1). The shopper's record is only read.
    """
    batch.size[0] = 0
    visit["steps"] += 1
    if visit["next_act"] == Act.CHOOSE:
        visit["next_act"] = choose(shop, shopper, visit, rng)
    act = visit["next_act"]
    visit["next_act"] = Act.CHOOSE
    if act == Act.LEAVE or visit["steps"] > MAX_STEPS:
        visit["ended"] = 1
    else:
        perform(shop, shopper, visit, act, rng, batch)


@compiled
def open_visit(
    shop: Shop, shopper: Record, visit: Record, rng: Stream, start_us: int, intent: float
) -> int:
    """Set up a blank visit of a shopper at `start_us` and count it; returns its channel.

    `intent` is the shop's level of intent, to which all that the shopper brings is added.
    """
    channel = _channel(shopper, rng)
    _restore_cart(shopper, visit, rng)
    visit["time_us"] = start_us
    visit["first_ever"] = 1 if shopper["visits"] == 0 else 0
    visit["intent"] = (
        intent
        + shopper["need"]
        + 0.6 * shopper["loyalty"]
        + (0.9 if visit["cart_lines"] > 0 else 0.0)
        + (0.4 if channel == Channel.EMAIL else 0.0)
        - (0.4 if channel == Channel.PAID else 0.0)
        + mood_of_hour(start_us, shopper["on_phone"])
        - _satisfaction(shopper, start_us)
        + 0.8 * normal(rng)
    )
    visit["mission"] = _mission(shopper, rng)
    visit["shelf"] = visit["mission"]
    visit["item"] = -1
    visit["next_act"] = _landing(shop, shopper, visit, channel, rng)
    shopper["visits"] += 1
    return channel


@compiled
def close_visit(shopper: Record, visit: Record) -> None:
    """Write back what a visit leaves with its shopper: the cart, or loyalty after an order."""
    if visit["converted"] == 1:
        shopper["loyalty"] = min(shopper["loyalty"] + 0.6, 3.0)
        shopper["last_order_us"] = visit["time_us"]
        shopper["cart_lines"] = 0
        return
    shopper["cart_lines"] = visit["cart_lines"]
    for k in range(CART_LINES):
        shopper["cart_items"][k] = visit["cart_items"][k]
        shopper["cart_quantities"][k] = visit["cart_quantities"][k]


@compiled
def _channel(shopper: Record, rng: Stream) -> int:
    if shopper["visits"] == 0:
        return shopper["channel"]
    draw = uniform(rng)
    if draw < 0.15 + 0.1 * shopper["loyalty"]:
        return Channel.EMAIL.value
    if draw < 0.65:
        return Channel.DIRECT.value
    return Channel.ORGANIC.value if draw < 0.9 else Channel.PAID.value


@compiled
def _restore_cart(shopper: Record, visit: Record, rng: Stream) -> None:
    if shopper["cart_lines"] > 0 and uniform(rng) < 0.75:
        visit["cart_lines"] = shopper["cart_lines"]
        for k in range(CART_LINES):
            visit["cart_items"][k] = shopper["cart_items"][k]
            visit["cart_quantities"][k] = shopper["cart_quantities"][k]


@compiled
def _satisfaction(shopper: Record, now_us: int) -> float:
    """How far the last order still satisfies; fades within weeks."""
    if shopper["last_order_us"] == 0:
        return 0.0
    return 1.5 * math.exp(-(now_us - shopper["last_order_us"]) / (6.0 * DAY_US))


@compiled
def _mission(shopper: Record, rng: Stream) -> int:
    best = 0
    best_pull = -1e9
    for category in range(N_CATEGORIES):
        pull = shopper["taste"][category] + 0.5 * normal(rng)
        if pull > best_pull:
            best = category
            best_pull = pull
    return best


@compiled
def _landing(shop: Shop, shopper: Record, visit: Record, channel: int, rng: Stream) -> int:
    """Choose the first page and its aim."""
    draw = uniform(rng)
    if channel == Channel.EMAIL and visit["cart_lines"] > 0 and draw < 0.5:
        return Act.OPEN_CART.value
    if channel in (Channel.DIRECT, Channel.EMAIL):
        return Act.GO_HOME.value if draw < 0.7 else Act.OPEN_SHELF.value
    if draw < 0.2:
        return Act.GO_HOME.value
    if channel == Channel.PAID:
        # An advertisement shows what its buyer picked, not what the shopper came for.
        visit["shelf"] = SALE_SHELF if draw < 0.6 else below(rng, N_CATEGORIES)
    if draw < 0.6:
        return Act.OPEN_SHELF.value
    visit["target"] = catching_item(shop, shopper, visit["shelf"], rng)
    return Act.OPEN_ITEM.value

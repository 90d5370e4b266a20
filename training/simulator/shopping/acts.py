"""What each act does to the visit, how long it takes and what it emits."""

from __future__ import annotations

import math

from training.simulator.shopping.catalogue import Shop
from training.simulator.shopping.choices import FREE_SHIPPING_FROM
from training.simulator.shopping.codes import SALE_SHELF, SEARCH_SHELF, Act, Holds, Kind, Page
from training.simulator.shopping.compiled import compiled
from training.simulator.shopping.emission import Batch, emit, emit_arrival, emit_item, emit_reading
from training.simulator.shopping.records import Record
from training.simulator.shopping.streams import Stream, normal, uniform
from training.simulator.shopping.taste import (
    appetite,
    cart_value,
    note_look,
    put_in_cart,
    take_from_cart,
    want,
)

# Below the half hour after which GA4 would open another session.
_LONGEST_PAUSE_S = 1500.0


@compiled
def perform(
    shop: Shop, shopper: Record, visit: Record, act: int, rng: Stream, batch: Batch
) -> None:
    """Do an act other than CHOOSE and LEAVE, and add its rows to the batch."""
    if act == Act.READ:
        _read(shop, shopper, visit, rng, batch)
    elif act in (Act.CLICK_PROMOTION, Act.CLICK_ITEM):
        _click(shop, visit, act, rng, batch)
    elif act in (Act.ADD, Act.REMOVE):
        _change_cart(shop, shopper, visit, act, rng, batch)
    elif act >= Act.REPEAT_CHECKOUT:
        _pay(shop, visit, act, rng, batch)
    else:
        _open_page(shop, shopper, visit, act, rng, batch)


@compiled
def _spend(visit: Record, median_s: float, spread: float, rng: Stream) -> int:
    """Let a log-normal time pass; returns it in milliseconds."""
    seconds = min(median_s * math.exp(spread * normal(rng)), _LONGEST_PAUSE_S)
    visit["time_us"] += int(seconds * 1e6) + 1
    return int(seconds * 1e3)


@compiled
def _read(shop: Shop, shopper: Record, visit: Record, rng: Stream, batch: Batch) -> None:
    median_s = 8.0
    if visit["page"] == Page.ITEM:
        wanted = want(shop, shopper, visit["item"])
        visit["desire"] += 0.25 * math.tanh(wanted) + 0.35 * normal(rng)
        median_s = 13.0 * math.exp(0.4 * min(wanted, 2.0) + 0.2 * shopper["caution"])
    elif visit["page"] in (Page.ADDRESS, Page.PAYMENT):
        median_s = 40.0 * math.exp(-0.4 * appetite(visit))
    visit["has_read"] = 1
    dwell_ms = _spend(visit, median_s * math.exp(0.2 * shopper["patience"]), 0.9, rng)
    emit_reading(batch, visit, dwell_ms, rng)


@compiled
def _click(shop: Shop, visit: Record, act: int, rng: Stream, batch: Batch) -> None:
    """Click a promotion or an item of a list; the next act opens what was clicked."""
    _spend(visit, 2.0, 0.7, rng)
    if act == Act.CLICK_PROMOTION:
        visit["shelf"] = SALE_SHELF
        visit["next_act"] = Act.OPEN_SHELF
        emit(batch, visit, Kind.SELECT_PROMOTION, Holds.PROMOTION)
    else:
        visit["item"] = visit["target"]
        visit["next_act"] = Act.OPEN_ITEM
        emit_item(shop, batch, visit, Kind.SELECT_ITEM, rng)


@compiled
def _open_page(
    shop: Shop, shopper: Record, visit: Record, act: int, rng: Stream, batch: Batch
) -> None:
    if visit["steps"] > 1:
        _spend(visit, 2.5 if visit["has_read"] == 1 else 9.0, 0.7, rng)
    visit["has_read"] = 0
    if act == Act.GO_HOME:
        visit["page"] = Page.HOME
    elif act == Act.OPEN_SHELF:
        visit["page"] = Page.SHELF
    elif act == Act.SEARCH:
        visit["page"] = Page.SEARCH
        visit["shelf"] = SEARCH_SHELF + visit["mission"]
        # Whoever searches late hasn't found.
        visit["doubt"] += 0.25 if visit["steps"] > 12 else 0.0
    elif act == Act.OPEN_ITEM:
        visit["page"] = Page.ITEM
        visit["item"] = visit["target"]
        note_look(visit, visit["item"])
    elif act == Act.READ_POLICY:
        _weigh_policy(shop, shopper, visit, rng)
    elif act == Act.OPEN_CART:
        visit["page"] = Page.CART
    else:
        visit["page"] = Page.ADDRESS
        visit["next_act"] = Act.REPEAT_CHECKOUT if uniform(rng) < 0.3 else Act.CHOOSE
    emit_arrival(shop, batch, visit, rng)


@compiled
def _weigh_policy(shop: Shop, shopper: Record, visit: Record, rng: Stream) -> None:
    visit["policy_read"] = 1
    visit["page"] = Page.SHIPPING if uniform(rng) < 0.7 else Page.RETURNS
    if visit["cart_lines"] == 0:
        visit["doubt"] += 0.4
    elif visit["page"] == Page.RETURNS:
        visit["doubt"] -= 0.3
    elif cart_value(shop, visit) >= FREE_SHIPPING_FROM:
        visit["doubt"] -= 1.4
    else:
        visit["doubt"] += 0.7 + 1.2 * shopper["thrift"]


@compiled
def _change_cart(
    shop: Shop, shopper: Record, visit: Record, act: int, rng: Stream, batch: Batch
) -> None:
    spent_ms = _spend(visit, 3.0, 0.6, rng)
    if act == Act.ADD:
        put_in_cart(visit, visit["item"])
        visit["next_act"] = Act.OPEN_CART if uniform(rng) < 0.5 else Act.CHOOSE
        row = emit_item(shop, batch, visit, Kind.ADD_TO_CART, rng)
        row["quantity"] = 1
        row["engagement_ms"] = spent_ms
        return
    line = _line_to_drop(shop, shopper, visit)
    visit["item"] = visit["cart_items"][line]
    quantity = visit["cart_quantities"][line]
    take_from_cart(visit, line)
    visit["doubt"] += 0.6 if visit["cart_lines"] == 0 else 0.0
    emit(batch, visit, Kind.REMOVE_FROM_CART, Holds.ITEM)["quantity"] = quantity


@compiled
def _line_to_drop(shop: Shop, shopper: Record, visit: Record) -> int:
    """Find the line that the shopper can best do without."""
    worst = 0
    for line in range(1, visit["cart_lines"]):
        item = visit["cart_items"][line]
        if want(shop, shopper, item) < want(shop, shopper, visit["cart_items"][worst]):
            worst = line
    return worst


@compiled
def _pay(shop: Shop, visit: Record, act: int, rng: Stream, batch: Batch) -> None:
    if act == Act.REPEAT_CHECKOUT:
        visit["time_us"] += 20_000 + int(uniform(rng) * 100_000)
        emit(batch, visit, Kind.BEGIN_CHECKOUT, Holds.CART)
        return
    _spend(visit, 15.0 if act == Act.REPEAT_PURCHASE else 5.0, 0.6, rng)
    if act == Act.GIVE_ADDRESS:
        visit["address_given"] = 1
        emit(batch, visit, Kind.ADD_SHIPPING_INFO, Holds.NOTHING)
    elif act == Act.OPEN_PAYMENT:
        visit["has_read"] = 0
        visit["page"] = Page.PAYMENT
        emit_arrival(shop, batch, visit, rng)
    elif act == Act.REPEAT_PURCHASE:
        emit(batch, visit, Kind.PURCHASE, Holds.CART)
    else:
        _buy(shop, visit, rng, batch)


@compiled
def _buy(shop: Shop, visit: Record, rng: Stream, batch: Batch) -> None:
    visit["has_read"] = 0
    visit["page"] = Page.CONFIRMATION
    emit(batch, visit, Kind.PAGE_VIEW, Holds.NOTHING)
    visit["time_us"] += 300 + int(uniform(rng) * 1500)
    visit["converted"] = 1
    visit["order_set"] = 1 if uniform(rng) >= shop.unset_order else 0
    if uniform(rng) < shop.repeated_purchase:
        visit["next_act"] = Act.REPEAT_PURCHASE
    emit(batch, visit, Kind.PURCHASE, Holds.CART)

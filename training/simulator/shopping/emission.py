"""The rows that a step emits, in codes."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from training.simulator.shopping.catalogue import Shop
from training.simulator.shopping.codes import Holds, Kind, Page
from training.simulator.shopping.compiled import compiled
from training.simulator.shopping.records import CART_LINES, ROW, SHELF_LENGTH, Record, Records
from training.simulator.shopping.streams import Stream, uniform

ROWS_PER_STEP: Final = 6


class Batch(NamedTuple):
    """What a step has emitted: `rows[: size[0]]`, of ROW, with room for ROWS_PER_STEP."""

    rows: Records
    size: npt.NDArray[np.int64]


def new_batch() -> Batch:
    """Make room for the rows of a step."""
    return Batch(np.zeros(ROWS_PER_STEP, ROW), np.zeros(1, np.int64))


@compiled
def emit(batch: Batch, visit: Record, kind: Kind, holds: Holds) -> Record:
    """Add a row at the visit's time; returns it. What a step's rows share comes with `complete`."""
    row = batch.rows[batch.size[0]]
    batch.size[0] += 1
    row["time_us"] = visit["time_us"]
    row["engagement_ms"] = -1
    row["quantity"] = 0
    row["kind"] = kind
    row["holds"] = holds
    return row


@compiled
def complete(batch: Batch, visit: Record) -> None:
    """Add to all rows of a step what the step has made of the visit: page, item, cart."""
    for n in range(batch.size[0]):
        row = batch.rows[n]
        row["step"] = visit["steps"]
        row["shelf"] = visit["shelf"]
        row["item"] = visit["item"]
        row["page"] = visit["page"]
        row["order_set"] = visit["order_set"]
        row["cart_lines"] = visit["cart_lines"]
        for k in range(CART_LINES):
            row["cart_items"][k] = visit["cart_items"][k]
            row["cart_quantities"][k] = visit["cart_quantities"][k]


@compiled
def emit_item(shop: Shop, batch: Batch, visit: Record, kind: Kind, rng: Stream) -> Record:
    """Add a row about the item at hand; like the real export, often with the whole list beside it.

    In a list, only the item acted on has a quantity. A view_item may hold no item at all.
    """
    row = emit(batch, visit, kind, Holds.ITEM)
    draw = uniform(rng)
    if draw < 0.3 and _is_shown(shop, visit["shelf"], visit["item"]):
        row["holds"] = Holds.SHELF
        row["quantity"] = 1
    elif draw > 0.88 and kind == Kind.VIEW_ITEM:
        row["holds"] = Holds.NOTHING
    return row


@compiled
def emit_arrival(shop: Shop, batch: Batch, visit: Record, rng: Stream) -> None:
    """Add what the page at hand sends when it opens; before the first page, the session's start."""
    if visit["steps"] == 1:
        emit(batch, visit, Kind.SESSION_START, Holds.NOTHING)
        if visit["first_ever"] == 1:
            emit(batch, visit, Kind.FIRST_VISIT, Holds.NOTHING)
    emit(batch, visit, Kind.PAGE_VIEW, Holds.NOTHING)
    page = visit["page"]
    if page == Page.HOME:
        if uniform(rng) < 0.6:
            emit(batch, visit, Kind.VIEW_PROMOTION, Holds.PROMOTION)
    elif page == Page.SEARCH:
        emit(batch, visit, Kind.VIEW_SEARCH_RESULTS, Holds.NOTHING)
    elif page == Page.ITEM:
        emit_item(shop, batch, visit, Kind.VIEW_ITEM, rng)
    elif page == Page.CART:
        emit(batch, visit, Kind.VIEW_CART, Holds.CART)
    elif page == Page.ADDRESS:
        emit(batch, visit, Kind.BEGIN_CHECKOUT, Holds.CART)
    elif page == Page.PAYMENT:
        emit(batch, visit, Kind.ADD_PAYMENT_INFO, Holds.NOTHING)


@compiled
def emit_reading(batch: Batch, visit: Record, dwell_ms: int, rng: Stream) -> None:
    """Add what a page sends when it has been read for so many milliseconds."""
    emit(batch, visit, Kind.USER_ENGAGEMENT, Holds.NOTHING)["engagement_ms"] = dwell_ms
    if dwell_ms > 6000 and uniform(rng) < 0.55:
        emit(batch, visit, Kind.SCROLL, Holds.NOTHING)
    if visit["page"] in (Page.SHELF, Page.SEARCH) and uniform(rng) < 0.5:
        emit(batch, visit, Kind.VIEW_ITEM, Holds.SHELF)


@compiled
def _is_shown(shop: Shop, shelf: int, item: int) -> bool:
    for place in range(SHELF_LENGTH):
        if shop.shelves[shelf, place] == item:
            return True
    return False

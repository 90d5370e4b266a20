"""What the export says of each row beyond its codes: page before, bundle, order, lifetime value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from training.simulator.ga4.pages import page_numbers
from training.simulator.ga4.table import RawRows
from training.simulator.shop import SimulatedShop
from training.simulator.shopping.codes import Kind
from training.simulator.shopping.records import Records
from training.simulator.shopping.streams import EXPORT, generator

_FIRST_ORDER_NUMBER = 100_000


def raw_rows(shop: SimulatedShop) -> RawRows:
    """Describe all rows within the export's days, in order of sessions, stray ones last."""
    rows = shop.rows[shop.rows["time_us"] < shop.config.end_us]
    rng = generator(shop.config.seed, EXPORT)
    page = page_numbers(rows)
    first_of_batch = np.ones(rows.size, dtype=np.bool_)
    first_of_batch[1:] = (np.diff(rows["session"]) != 0) | (np.diff(rows["time_us"]) != 0)
    bundles = rng.integers(-(10**10), 10**10, int(first_of_batch.sum()))
    sessions = shop.sessions[rows["session"]]
    order_numbers = _FIRST_ORDER_NUMBER + rng.permutation(shop.sessions.size)
    bought = rows["kind"] == Kind.PURCHASE
    raw = RawRows(
        rows=rows,
        sessions=sessions,
        page=page,
        referrer=_referrers(rows, page),
        stray=np.zeros(rows.size, dtype=np.bool_),
        bundle=bundles[np.cumsum(first_of_batch) - 1],
        lifetime_value=_lifetime_values(shop, rows, sessions["shopper"]),
        order_number=np.where(bought, order_numbers[rows["session"]], 0),
        first_touch_us=shop.shoppers["first_us"][sessions["shopper"]],
    )
    return _with_stray_rows(raw, rng, shop.config.habits.stray_row)


def take_rows(raw: RawRows, places: npt.NDArray[np.int64]) -> RawRows:
    """Pick rows in the order of `places`."""
    return replace(raw, **{name: values[places] for name, values in vars(raw).items()})


def _referrers(rows: Records, page: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number the page seen before the one at hand; -1 on the first of a session."""
    views = np.flatnonzero(rows["kind"] == Kind.PAGE_VIEW)
    before = np.full(views.size, -1, dtype=np.int64)
    same = rows["session"][views][1:] == rows["session"][views][:-1]
    before[1:][same] = page[views][:-1][same]
    latest = np.searchsorted(views, np.arange(rows.size), side="right") - 1
    own = (latest >= 0) & (rows["session"][views[latest]] == rows["session"])
    return np.where(own, before[latest], -1)


def _lifetime_values(
    shop: SimulatedShop, rows: Records, shopper: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """Sum up what the visitor has paid within the export, up to and with each row."""
    order = np.lexsort((rows["time_us"], shopper))
    paid = np.zeros(rows.size)
    purchases = np.flatnonzero(rows["kind"] == Kind.PURCHASE)
    # A repeated purchase event is no second order.
    _, first = np.unique(rows["session"][purchases], return_index=True)
    for place in purchases[first]:
        row = rows[place]
        lines = slice(0, int(row["cart_lines"]))
        prices = shop.catalogue.shop.price[row["cart_items"][lines]]
        paid[place] = (prices * row["cart_quantities"][lines]).sum()
    running = np.cumsum(paid[order])
    starts = np.flatnonzero(np.r_[True, np.diff(shopper[order]) != 0])
    before_user = np.r_[0.0, running][starts]
    lengths = np.diff(np.r_[starts, rows.size])
    values = np.empty(rows.size)
    values[order] = np.round(running - np.repeat(before_user, lengths), 2)
    return values


def _with_stray_rows(raw: RawRows, rng: np.random.Generator, share: float) -> RawRows:
    """Repeat the last engagement of some sessions a moment later, without its session id."""
    engagements = np.flatnonzero(raw.rows["kind"] == Kind.USER_ENGAGEMENT)
    _, last = np.unique(raw.rows["session"][engagements][::-1], return_index=True)
    candidates = engagements[::-1][last]
    chosen = candidates[rng.random(candidates.size) < share]
    both = take_rows(raw, np.concatenate([np.arange(raw.rows.size), chosen]))
    both.stray[raw.rows.size :] = True
    return both

"""What a visit has shown by each decision point: what a judge without the hidden state has.

Built from the simulator's own rows, past every importer and reducer, so that what those lose shows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.simulator.shop import DecisionPoints, SimulatedShop
from training.simulator.shopping.codes import Kind, Page
from training.simulator.shopping.records import Records
from training.simulator.shopping.rhythm import DAY_US, HOUR_US

_SECOND_US: Final = 1_000_000
_SHOWS_CART: Final = (Kind.VIEW_CART, Kind.BEGIN_CHECKOUT)
_SHELVES: Final = (Page.SHELF, Page.SEARCH)
_POLICIES: Final = (Page.SHIPPING, Page.RETURNS)


def observables(shop: SimulatedShop, points: DecisionPoints) -> pd.DataFrame:
    """Give one row per point, in their order: float64, NaN where nothing was shown.

    Counts of rows by kind, where the visitor is and what lies there, looks, reading, the cart as
    far as a page showed it, the hour, the device, the channel, and the visitor's earlier visits.
    Item and category are numbers of the catalogue.
    """
    rows = shop.rows
    last = np.flatnonzero(_last_of_batch(rows))
    table = pd.concat([_now(shop, rows), _so_far(shop, rows)], axis=1).iloc[last]
    key = pd.MultiIndex.from_arrays([rows["session"][last], rows["step"][last]])
    table.index = key
    wanted = pd.MultiIndex.from_arrays([points.session, points.step])
    table = table.loc[wanted].reset_index(drop=True)
    visits = _visits(shop).iloc[points.session].reset_index(drop=True)
    return pd.concat([table, visits], axis=1).astype(np.float64)


def _last_of_batch(rows: Records) -> npt.NDArray[np.bool_]:
    last = np.ones(rows.size, dtype=np.bool_)
    last[:-1] = (np.diff(rows["session"]) != 0) | (np.diff(rows["step"]) != 0)
    return last


def _now(shop: SimulatedShop, rows: Records) -> pd.DataFrame:
    """What the row itself shows."""
    item = rows["item"].astype(np.int64)
    known = item >= 0
    parts = shop.catalogue.shop
    start = shop.sessions["start_us"][rows["session"]]
    return pd.DataFrame(
        {
            "step": rows["step"],
            "page": rows["page"],
            "shelf": _shelf(rows),
            "item": item,
            "price": np.where(known, parts.price[item], np.nan),
            "on_sale": np.where(known, parts.on_sale[item], np.nan),
            "appeal": np.where(known, parts.appeal[item], np.nan),
            "category": np.where(known, parts.category[item], np.nan),
            "kind": rows["kind"],
            "age_s": (rows["time_us"] - start) / _SECOND_US,
            "hour": rows["time_us"] % DAY_US // HOUR_US,
            "weekday": (rows["time_us"] // DAY_US + 3) % 7,
        }
    )


def _shelf(rows: Records) -> pd.Series:
    """The shelf shown last; the one that the shopper came for is hidden until then."""
    shown = pd.Series(np.where(np.isin(rows["page"], _SHELVES), rows["shelf"], np.nan))
    return shown.groupby(rows["session"]).ffill()


def _so_far(shop: SimulatedShop, rows: Records) -> pd.DataFrame:
    """What the visit's rows up to this one add up to."""
    by_visit = rows["session"]
    kinds = {kind.name.lower(): (rows["kind"] == kind).astype(np.int64) for kind in Kind}
    read_s = np.where(rows["kind"] == Kind.USER_ENGAGEMENT, rows["engagement_ms"] / 1000, 0.0)
    on_item = rows["page"] == Page.ITEM
    opened = on_item & (rows["kind"] == Kind.PAGE_VIEW)
    sums = pd.DataFrame(
        {
            **kinds,
            "read_s": read_s,
            "item_read_s": read_s * on_item,
            "items_opened": opened,
            "policies": np.isin(rows["page"], _POLICIES) & (rows["kind"] == Kind.PAGE_VIEW),
            "appeal_opened": opened * shop.catalogue.shop.appeal[np.maximum(rows["item"], 0)],
        }
    )
    totals = sums.groupby(by_visit).cumsum().add_prefix("n_")
    looks = pd.Series(opened.astype(np.int64)).groupby([by_visit, rows["item"]]).cumsum()
    totals["looks_here"] = looks.where(on_item)
    totals["most_looks"] = looks.groupby(by_visit).cummax()
    last_read = pd.Series(np.where(rows["engagement_ms"] > 0, rows["engagement_ms"], np.nan))
    totals["last_read_ms"] = last_read.groupby(by_visit).ffill()
    return pd.concat([totals, _cart(shop, rows)], axis=1)


def _cart(shop: SimulatedShop, rows: Records) -> pd.DataFrame:
    """The cart as far as it is known: what was added, and all of it once a page has shown it.

    A cart that an earlier visit left may be in it or not, and until then only the shopper knows.
    """
    by_visit = rows["session"]
    price = shop.catalogue.shop.price
    lines = np.arange(rows["cart_items"].shape[1]) < rows["cart_lines"][:, None]
    worth = np.where(lines, price[rows["cart_items"]] * rows["cart_quantities"], 0.0).sum(axis=1)
    shown = pd.Series(np.isin(rows["kind"], _SHOWS_CART)).groupby(by_visit).cummax().to_numpy()
    add = rows["kind"] == Kind.ADD_TO_CART
    added = pd.DataFrame({"lines": add, "value": add * price[np.maximum(rows["item"], 0)]})
    added = added.groupby(by_visit).cumsum()
    return pd.DataFrame(
        {
            "cart_shown": shown,
            "cart_lines": np.where(shown, rows["cart_lines"], added["lines"]),
            "cart_value": np.where(shown, worth, added["value"]),
        }
    )


def _visits(shop: SimulatedShop) -> pd.DataFrame:
    """What is known of a visit from its start: device, channel, the visitor's visits before."""
    sessions = shop.sessions
    frame = pd.DataFrame(
        {
            "shopper": sessions["shopper"],
            "start_us": sessions["start_us"],
            "end_us": sessions["end_us"],
            "orders": sessions["converted"].astype(np.int64),
            "left_cart": _left_carts(shop),
        }
    )
    frame["order_us"] = np.where(frame["orders"] == 1, frame["end_us"], np.nan)
    order = np.lexsort((sessions["start_us"], sessions["shopper"]))
    sorted_ = frame.iloc[order]
    visitor = sorted_.groupby("shopper")
    past = pd.DataFrame(
        {
            "visit": sessions["number"][order],
            "channel": sessions["channel"][order],
            "on_phone": shop.shoppers["on_phone"][sorted_["shopper"]],
            "visits_seen": visitor.cumcount(),
            "orders_before": visitor["orders"].cumsum() - sorted_["orders"],
            "since_visit_h": (sorted_["start_us"] - visitor["end_us"].shift()) / HOUR_US,
            "since_order_h": (
                sorted_["start_us"]
                - visitor["order_us"].ffill().groupby(sorted_["shopper"]).shift()
            )
            / HOUR_US,
            "cart_left": visitor["left_cart"].shift(),
        },
        index=sorted_.index,
    ).astype(np.float64)
    # Beside a visit that goes on, what is known is what was known when that began.
    beside = sorted_["start_us"] < visitor["end_us"].shift()
    return past.where(~beside, past.shift()).sort_index()


def _left_carts(shop: SimulatedShop) -> npt.NDArray[np.float64]:
    """How many lines the cart had at each visit's end; 0 after an order."""
    rows = shop.rows
    last = np.append(np.diff(rows["session"]) != 0, True)
    left = np.zeros(shop.sessions.size)
    left[rows["session"][last]] = rows["cart_lines"][last]
    return np.where(shop.sessions["converted"] == 1, 0.0, left)

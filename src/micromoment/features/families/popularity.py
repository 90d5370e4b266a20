"""How well the visit's products sell: of the visits that acted on one, the share that ordered it.

Rates are of the seven shop-days before a day and hold from its midnight on, so that no visit is
described by what it did itself; a bundle carries those of the last seven days of its training. They
are smoothed to (w + buys) / (w / prior + visits), with the shop's own rate of these days as prior.
A product or category that is not in the table (too rare) gets the prior. A model learns from them
only where training spans eight weeks or more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.vocabulary import EventType
from micromoment.features import wording
from micromoment.features._compile import compiled, compiled_into_callers
from micromoment.features.families.items import acted_on
from micromoment.features.lookup import count_below, look_up
from micromoment.features.spec import FeatureSpec
from micromoment.features.tables import Tables

STATE_FIELDS = [
    ("last_acted_item", "u8"),
    ("last_looked_category", "u8"),
]

_NO_ITEM = "no product, or no earlier day"
_NO_CATEGORY = "none known, or no earlier day"

# Within a few weeks the shop's own rate, one for each day, tells the model the date.
_MIN_DAYS = 56


def _rate(name: str, meaning: str, missing: str, group: str, says: wording.Wording) -> FeatureSpec:
    return FeatureSpec(name, "ratio", meaning, missing, min_days=_MIN_DAYS, group=group, says=says)


FEATURES = (
    _rate("item_popularity_7d", "view-to-buy rate of the last product acted on", _NO_ITEM,
          group="which_products", says=wording.share(
              "In the last days {} of visits with this product ordered it",
              "Not known how well the product sells",
              "In the last days nobody ordered this product")),
    _rate("max_item_popularity_7d", "highest view-to-buy rate of the products", _NO_ITEM,
          group="which_products", says=wording.share(
              "Best seller among the products: {} of visits with it ordered it",
              "Not known how well the products sell",
              "In the last days nobody ordered any of these products")),
    _rate("category_popularity_7d", "view-to-buy rate of the last category", _NO_CATEGORY,
          group="which_products", says=wording.share(
              "In the last days {} of visits to this category ordered from it",
              "Not known how well the category sells",
              "In the last days nobody ordered from this category")),
)  # fmt: skip

_ITEM_VIEW = int(EventType.ITEM_VIEW)
_CART_ADD = int(EventType.CART_ADD)


@compiled
def observe(state: Any, event: Any, items: Any) -> None:
    """Fold one event with its items."""
    kind = event["type"]
    if kind != _ITEM_VIEW and kind != _CART_ADD:
        return
    for index in range(len(items)):
        item = items[index]
        if acted_on(item, len(items)):
            state["last_acted_item"] = item["item"]
            if kind == _ITEM_VIEW and item["top_category"] != 0:
                state["last_looked_category"] = item["top_category"]


@compiled_into_callers
def describe(state: Any, now: int, tables: Tables, out: Any) -> None:
    """Write the family's features as of `now`."""
    _describe_items(state, now, tables, out)
    out["category_popularity_7d"] = np.nan
    row = _row_at(tables.category_popularity_starts, now)
    if row >= 0 and state["last_looked_category"] != 0:
        out["category_popularity_7d"] = look_up(
            tables.category_popularity_keys,
            tables.category_popularity_values[row],
            state["last_looked_category"],
            tables.category_popularity_prior[row],
        )


@compiled
def _row_at(starts: Any, now: int) -> int:
    # The last row that has begun; -1 before the first.
    return count_below(starts, now + 1) - 1


@compiled_into_callers
def _describe_items(state: Any, now: int, tables: Tables, out: Any) -> None:
    out["item_popularity_7d"] = np.nan
    out["max_item_popularity_7d"] = np.nan
    row = _row_at(tables.item_popularity_starts, now)
    if row < 0:
        return
    keys = tables.item_popularity_keys
    values = tables.item_popularity_values[row]
    prior = tables.item_popularity_prior[row]
    if state["last_acted_item"] != 0:
        out["item_popularity_7d"] = look_up(keys, values, state["last_acted_item"], prior)
    highest = np.nan
    for slot in range(state["n_item_slots"]):
        value = look_up(keys, values, state["item_keys"][slot], prior)
        if not value <= highest:  # NaN at first
            highest = value
    out["max_item_popularity_7d"] = highest

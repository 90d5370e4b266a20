"""Products looked at: how many, how often the same, of which categories, at what prices.

An event's items are the ones acted on only where that is known: those with a quantity, else the
single one. A list shown beside (a view of twelve items without quantities) is a list view.
Items and categories are exact up to 16 distinct ones; further ones are counted as views but not
told apart. Prices keep the last 16 looks. A search refines the one before it when it comes within
60 s with other terms; searches without terms are counted only. Price buckets are the deciles of all
looks in training.
"""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from micromoment.events.record import MISSING_MICROS
from micromoment.events.vocabulary import EventType
from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.lookup import count_below
from micromoment.features.spec import FeatureSpec

SLOTS = 16

STATE_FIELDS = [
    ("n_item_views", "i4"),
    ("n_list_views", "i4"),
    ("n_item_clicks", "i4"),
    ("n_searches", "i4"),
    ("n_filters", "i4"),
    ("n_promo_clicks", "i4"),
    ("n_wishlist_adds", "i4"),
    ("n_sale_views", "i4"),
    ("n_sale_known", "i4"),
    ("n_item_slots", "i4"),
    ("n_category_slots", "i4"),
    ("n_view_prices", "i4"),
    ("n_dwells", "i4"),
    ("n_refinements", "i4"),
    ("item_keys", "u8", (SLOTS,)),
    ("item_views", "i2", (SLOTS,)),
    ("item_adds", "i2", (SLOTS,)),
    ("category_keys", "u8", (SLOTS,)),
    ("category_views", "i2", (SLOTS,)),
    ("view_prices", "f8", (SLOTS,)),
    ("dwell_from", "i8"),  # time of an item view that no later moment has closed, 0 for none
    ("dwell_sum_s", "f8"),
    ("last_dwell_s", "f8"),
    ("last_search_terms", "u8"),  # and the time, of the last search whose terms are known
    ("last_search_time", "i8"),
]
# Least 0, greatest this: kernels take them for places, ends of loops, codes and times.
STATE_CAPS = {
    "n_item_slots": SLOTS,
    "n_category_slots": SLOTS,
    "n_view_prices": 2**31 - 1,
    "category_views": 2**15 - 1,
}

_PRICE_BANDS = {1: "among the cheapest tenth of the shop's", 10: "among the dearest tenth"} | {
    tenth: f"in the {nth} tenth of prices, from the cheapest"
    for tenth, nth in enumerate(
        ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"), start=2
    )
}

FEATURES = (
    FeatureSpec("n_item_views", "events", "looks at a product",
                group="products", says=wording.count("No product looked at",
                    "One look at a product", "{} looks at products")),
    FeatureSpec("n_list_views", "events", "lists of products shown or filtered",
                group="lists", says=wording.count("No product list seen", "One product list seen",
                    "{} product lists seen")),
    FeatureSpec("n_item_clicks", "events", "clicks on a product in a list",
                group="products", says=wording.count("No product chosen from a list",
                    "One product chosen from a list", "{} products chosen from lists")),
    FeatureSpec("n_searches", "events", "searches",
                group="search", says=wording.count("No search so far", "One search",
                    "{} searches")),
    FeatureSpec("search_refinements", "events", "searches with other terms within 60 s",
                group="search", says=wording.count("No search refined", "One search refined",
                    "{} searches refined")),
    FeatureSpec("n_filters", "events", "uses of a filter or a sort order",
                group="lists", says=wording.count("No filter or sort order used",
                    "One use of a filter or sort order", "{} uses of filters or sort orders")),
    FeatureSpec("n_promo_clicks", "events", "clicks on promotions, mails and advertisements",
                group="promotions", says=wording.count("No promotion clicked",
                    "One click on a promotion", "{} clicks on promotions")),
    FeatureSpec("n_wishlist_adds", "events", "products put on the wish list",
                group="wish_list", says=wording.count("Nothing put on the wish list",
                    "One product put on the wish list", "{} products put on the wish list")),
    FeatureSpec("n_distinct_items", "items", "distinct products acted on, up to 16",
                group="products", says=wording.count("No product looked at", "One product so far",
                    "{} different products so far")),
    FeatureSpec("repeat_view_ratio", "ratio", "looks at products looked at before", "no view",
                group="products", says=wording.share("{} of looks go to products seen before",
                    "No product looked at", "No product looked at again")),
    FeatureSpec("max_views_one_item", "events", "looks at the most viewed product",
                group="products", says=wording.ordinal("No product looked at",
                    "No product looked at again", "{} look at the same product")),
    FeatureSpec("n_distinct_categories", "categories", "distinct top categories, up to 16",
                group="categories", says=wording.count("No category known",
                    "Stays in one category", "{} different categories")),
    FeatureSpec("category_entropy", "nats", "spread of looks over categories", "none known",
                group="categories", says=wording.spread("Looks spread over about {} categories",
                    "Stays in one category", 16, "No category known")),
    FeatureSpec("top_category_share", "ratio", "looks in the commonest category", "none known",
                group="categories", says=wording.share("{} of looks are in one category",
                    "No category known", every="Stays in one category")),
    FeatureSpec("last_price", "currency", "price of the product last looked at", "none known",
                group="prices", says=wording.money("Last product costs {}", "No price seen")),
    FeatureSpec("median_view_price", "currency", "median of the last 16 prices", "none known",
                group="prices", says=wording.money("Products looked at cost about {}",
                    "No price seen")),
    FeatureSpec("price_cv", "ratio", "standard deviation of prices over mean", "below two prices",
                group="prices", says=wording.share(
                    "Prices looked at differ by {} of their average", "Fewer than two prices seen",
                    "All prices looked at are the same")),
    FeatureSpec("last_price_vs_median", "ratio", "last price over the median", "no or zero median",
                group="prices", says=wording.share(
                    "Last product costs {} of what the visit's products usually cost",
                    "No price to compare with",
                    every="Last product costs what the visit's products usually cost")),
    FeatureSpec("price_bucket", "1-10", "decile of the last price in the shop",
                "no price, no table",
                group="prices", says=wording.code("Last product is {}", _PRICE_BANDS,
                    "No price seen")),
    FeatureSpec("on_sale_share", "ratio", "looks at reduced products", "never stated",
                group="prices", says=wording.share("{} of the products looked at are reduced",
                    "Not known which products are reduced", "No reduced product looked at",
                    "All products looked at are reduced")),
    FeatureSpec("mean_dwell_s", "s", "mean time from a look to the next moment", "none ended",
                group="products", says=wording.elapsed("Looks at products take {} on average",
                    "No look at a product has ended yet")),
    FeatureSpec("last_dwell_s", "s", "the last of these times", "none ended",
                group="products", says=wording.elapsed("Last look at a product took {}",
                    "No look at a product has ended yet")),
)  # fmt: skip

_DWELL_CAP_S = 300.0
_REFINEMENT_US = 60_000_000
_COUNTER_CAP = 32_767
_MIN_PRICES_FOR_SPREAD = 2

_ITEM_VIEW = int(EventType.ITEM_VIEW)
_ITEM_CLICK = int(EventType.ITEM_CLICK)
_LIST_VIEW = int(EventType.LIST_VIEW)
_LIST_FILTER = int(EventType.LIST_FILTER)
_SEARCH = int(EventType.SEARCH)
_WISHLIST_ADD = int(EventType.WISHLIST_ADD)
_PROMO_CLICKS = (int(EventType.PROMO_CLICK), int(EventType.EMAIL_CLICK), int(EventType.AD_CLICK))


@compiled
def acted_on(item: Any, n_items: int) -> bool:
    """Tell whether an event with `n_items` items is about this one."""
    return bool(item["quantity"] > 0 or n_items == 1)


@compiled
def find_slot(keys: Any, n_used: int, key: int) -> int:
    """Give the place of `key` among the first `n_used` of `keys`, -1 when it isn't there."""
    for slot in range(n_used):
        if keys[slot] == key:
            return slot
    return -1


@compiled
def slot_of_item(state: Any, key: int) -> int:
    """Give the slot of an item, taking a free one for a new item; -1 when all are taken."""
    slot = find_slot(state["item_keys"], state["n_item_slots"], key)
    if slot < 0 and state["n_item_slots"] < SLOTS:
        slot = int(state["n_item_slots"])
        state["item_keys"][slot] = key
        state["n_item_slots"] += 1
    return slot


@compiled
def observe(state: Any, event: Any, items: Any, now: int, gap_us: int) -> None:
    """Fold one event with its items at feature time `now`."""
    if gap_us > 0 and state["dwell_from"] > 0:
        _close_dwell(state, now)
    kind = event["type"]
    if kind == _SEARCH:
        _observe_search(state, event, now)
    elif kind == _LIST_VIEW:
        state["n_list_views"] += 1
    elif kind == _LIST_FILTER:
        state["n_list_views"] += 1
        state["n_filters"] += 1
    elif kind == _ITEM_CLICK:
        state["n_item_clicks"] += 1
    elif kind == _WISHLIST_ADD:
        state["n_wishlist_adds"] += 1
    elif kind in _PROMO_CLICKS:
        state["n_promo_clicks"] += 1
    if kind == _ITEM_VIEW:
        _observe_view(state, event, items, now)


@compiled
def _observe_search(state: Any, event: Any, now: int) -> None:
    state["n_searches"] += 1
    if event["search_terms"] == 0:
        return
    before = state["last_search_terms"]
    in_time = now - state["last_search_time"] <= _REFINEMENT_US
    if before != 0 and before != event["search_terms"] and in_time:
        state["n_refinements"] += 1
    state["last_search_terms"] = event["search_terms"]
    state["last_search_time"] = now


@compiled
def _observe_view(state: Any, event: Any, items: Any, now: int) -> None:
    if event["n_items"] > 1 and not _any_quantity(items):
        state["n_list_views"] += 1
        return
    state["n_item_views"] += 1
    state["dwell_from"] = now
    for index in range(len(items)):
        if acted_on(items[index], len(items)):
            _look(state, items[index])


@compiled
def _any_quantity(items: Any) -> bool:
    for index in range(len(items)):
        if items[index]["quantity"] > 0:
            return True
    return False


@compiled
def _look(state: Any, item: Any) -> None:
    slot = slot_of_item(state, item["item"])
    if slot >= 0 and state["item_views"][slot] < _COUNTER_CAP:
        state["item_views"][slot] += 1
    category = item["top_category"]
    if category != 0:
        place = find_slot(state["category_keys"], state["n_category_slots"], category)
        if place < 0 and state["n_category_slots"] < SLOTS:
            place = int(state["n_category_slots"])
            state["category_keys"][place] = category
            state["n_category_slots"] += 1
        if place >= 0 and state["category_views"][place] < _COUNTER_CAP:
            state["category_views"][place] += 1
    if item["price"] != MISSING_MICROS:
        state["view_prices"][state["n_view_prices"] % SLOTS] = item["price"] / 1e6
        state["n_view_prices"] += 1
    if item["on_sale"] >= 0:
        state["n_sale_known"] += 1
        state["n_sale_views"] += item["on_sale"]


@compiled
def _close_dwell(state: Any, now: int) -> None:
    dwell_s = min((now - state["dwell_from"]) / 1e6, _DWELL_CAP_S)
    state["dwell_from"] = 0
    state["dwell_sum_s"] += dwell_s
    state["last_dwell_s"] = dwell_s
    state["n_dwells"] += 1


@compiled
def describe(state: Any, price_edges: Any, out: Any) -> None:
    """Write the family's features; `price_edges` are those of `Tables`."""
    out["n_item_views"] = state["n_item_views"]
    out["n_list_views"] = state["n_list_views"]
    out["n_item_clicks"] = state["n_item_clicks"]
    out["n_searches"] = state["n_searches"]
    out["search_refinements"] = state["n_refinements"]
    out["n_filters"] = state["n_filters"]
    out["n_promo_clicks"] = state["n_promo_clicks"]
    out["n_wishlist_adds"] = state["n_wishlist_adds"]
    out["n_distinct_items"] = state["n_item_slots"]
    _describe_repeats(state, out)
    _describe_categories(state, out)
    _describe_prices(state, price_edges, out)
    known = state["n_sale_known"]
    out["on_sale_share"] = state["n_sale_views"] / known if known > 0 else np.nan
    dwells = state["n_dwells"]
    out["mean_dwell_s"] = state["dwell_sum_s"] / dwells if dwells > 0 else np.nan
    out["last_dwell_s"] = state["last_dwell_s"] if dwells > 0 else np.nan


@compiled
def _describe_repeats(state: Any, out: Any) -> None:
    total = 0
    viewed = 0
    most = 0
    for slot in range(state["n_item_slots"]):
        views = int(state["item_views"][slot])
        total += views
        viewed += 1 if views > 0 else 0
        most = max(most, views)
    out["max_views_one_item"] = most
    out["repeat_view_ratio"] = (total - viewed) / total if total > 0 else np.nan


@compiled
def _describe_categories(state: Any, out: Any) -> None:
    n_slots = state["n_category_slots"]
    total = 0
    most = 0
    for slot in range(n_slots):
        views = int(state["category_views"][slot])
        total += views
        most = max(most, views)
    entropy = 0.0
    for slot in range(n_slots):
        share = state["category_views"][slot] / total
        entropy -= share * log(share)
    out["n_distinct_categories"] = n_slots
    out["category_entropy"] = entropy if total > 0 else np.nan
    out["top_category_share"] = most / total if total > 0 else np.nan


@compiled
def _describe_prices(state: Any, price_edges: Any, out: Any) -> None:
    n_prices = min(state["n_view_prices"], SLOTS)
    out["last_price"] = np.nan
    out["median_view_price"] = np.nan
    out["price_cv"] = np.nan
    out["last_price_vs_median"] = np.nan
    out["price_bucket"] = np.nan
    if n_prices == 0:
        return
    prices = np.sort(state["view_prices"][:n_prices])
    median = (prices[(n_prices - 1) // 2] + prices[n_prices // 2]) / 2
    last = state["view_prices"][(state["n_view_prices"] - 1) % SLOTS]
    out["last_price"] = last
    out["median_view_price"] = median
    if len(price_edges) > 0:
        out["price_bucket"] = 1 + count_below(price_edges, last)
    if median > 0:
        out["last_price_vs_median"] = last / median
    if n_prices >= _MIN_PRICES_FOR_SPREAD:
        mean = prices.sum() / n_prices
        if mean > 0:
            out["price_cv"] = np.sqrt(((prices - mean) ** 2).sum() / n_prices) / mean

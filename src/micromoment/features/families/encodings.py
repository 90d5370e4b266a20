"""What buyers' pages, sources and products were: keys of the visit looked up in learned tables.

The state keeps keys only; what they are worth travels in the bundle. A key that a table doesn't
know says nothing: 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.vocabulary import EventType
from micromoment.features import wording
from micromoment.features._compile import compiled, compiled_into_callers
from micromoment.features.families.items import acted_on
from micromoment.features.lookup import look_up
from micromoment.features.spec import FeatureSpec
from micromoment.features.tables import Tables

STATE_FIELDS = [
    ("landing_page", "u8"),
    ("last_page", "u8"),
    ("source", "u8"),
    ("campaign", "u8"),
    ("last_item", "u8"),
]

FEATURES = (
    FeatureSpec("page_weight_sum", "log-odds", "learned weights of the distinct pages seen",
                group="pages_seen", says=wording.learned("Pages seen so far are {}")),
    FeatureSpec("last_page_weight", "log-odds", "learned weight of the last page", "no page",
                group="pages_seen", says=wording.learned("The last page is {}", "No page seen")),
    FeatureSpec("landing_page_llr", "nats", "buyers among visits that landed here", "no page",
                group="landing_page", says=wording.learned("Landing on this page is {}",
                    "Not landed on a page yet")),
    FeatureSpec("source_llr", "nats", "buyers among visits of this source", "not known",
                group="source", says=wording.learned("Coming from this source is {}",
                    "Name of the source not known")),
    FeatureSpec("campaign_llr", "nats", "buyers among visits of this campaign", "not known",
                group="source", says=wording.learned("Coming by this campaign is {}",
                    "No campaign known")),
    FeatureSpec("last_item_llr", "nats", "buyers among visits that saw this product", "no product",
                group="which_products", says=wording.learned("Looking at the last product is {}",
                    "No product looked at")),
    FeatureSpec("max_item_llr", "nats", "the highest of the products acted on", "no product",
                group="which_products", says=wording.learned(
                    "Looking at the best of the products seen is {}", "No product looked at")),
)  # fmt: skip

_PAGE_VIEW = int(EventType.PAGE_VIEW)
_ITEM_VIEW = int(EventType.ITEM_VIEW)


@compiled
def _worth(keys: Any, values: Any, key: int) -> float:
    return look_up(keys, values, key, 0.0)


@compiled
def observe(state: Any, event: Any, items: Any) -> None:
    """Fold one event with its items."""
    kind = event["type"]
    if kind == _PAGE_VIEW:
        if state["landing_page"] == 0:
            state["landing_page"] = event["page"]
        state["last_page"] = event["page"]
    elif kind == _ITEM_VIEW:
        for index in range(len(items)):
            if acted_on(items[index], len(items)):
                state["last_item"] = items[index]["item"]
    if state["source"] == 0:
        state["source"] = event["source"]
    if state["campaign"] == 0:
        state["campaign"] = event["campaign"]


@compiled_into_callers
def describe(state: Any, tables: Tables, fold: int, out: Any) -> None:
    """Write the family's features by one fold's tables."""
    page_values = tables.page_values[fold]
    weights = 0.0
    for slot in range(state["n_page_slots"]):
        weights += _worth(tables.page_keys, page_values, state["page_keys"][slot])
    last_page = _worth(tables.page_keys, page_values, state["last_page"])
    landing = _worth(tables.landing_keys, tables.landing_values[fold], state["landing_page"])
    source = _worth(tables.source_keys, tables.source_values[fold], state["source"])
    campaign = _worth(tables.campaign_keys, tables.campaign_values[fold], state["campaign"])
    out["page_weight_sum"] = weights
    out["last_page_weight"] = last_page if state["last_page"] != 0 else np.nan
    out["landing_page_llr"] = landing if state["landing_page"] != 0 else np.nan
    out["source_llr"] = source if state["source"] != 0 else np.nan
    out["campaign_llr"] = campaign if state["campaign"] != 0 else np.nan
    _describe_items(state, tables.item_keys, tables.item_values[fold], out)


@compiled
def _describe_items(state: Any, keys: Any, values: Any, out: Any) -> None:
    highest = np.nan
    for slot in range(state["n_item_slots"]):
        value = _worth(keys, values, state["item_keys"][slot])
        if not value <= highest:  # NaN at first
            highest = value
    out["max_item_llr"] = highest
    last = _worth(keys, values, state["last_item"])
    out["last_item_llr"] = last if state["last_item"] != 0 else np.nan

"""Pages seen: how many, of which kind, how deep. Distinct pages are told apart up to 16.

A visit bounces so far until it has a second page or more than 10 s, by the clock or as engagement
reported: what GA4 calls a session that is not engaged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.vocabulary import EventType, PageType
from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.families.items import find_slot
from micromoment.features.spec import FeatureSpec

SLOTS = 16

STATE_FIELDS = [
    ("n_page_views", "i4"),
    ("n_repeat_pages", "i4"),
    ("n_page_slots", "i4"),
    ("n_scrolls", "i4"),
    ("n_micro", "i4"),
    ("dead_clicks", "i4"),
    ("video_replays", "i4"),
    ("max_scroll", "f4"),
    ("page_keys", "u8", (SLOTS,)),
    ("page_type_views", "i2", (16,)),
    ("landing_page_type", "u1"),
    ("last_page_type", "u1"),
    ("has_scroll", "u1"),
]
# Least 0, greatest this: kernels take them for places, ends of loops, codes and times.
STATE_CAPS = {"n_page_slots": SLOTS}

_PAGES = {
    1: "the front page",
    2: "a category page",
    3: "a product page",
    4: "a search page",
    5: "the cart page",
    6: "a checkout page",
    7: "an order confirmation",
    8: "a log-in or account page",
    9: "a page on delivery, returns or help",
    10: "a page to read",
    11: "an error page",
    12: "another page",
}

FEATURES = (
    FeatureSpec("n_page_views", "events", "pages shown",
                group="visit_length", says=wording.count("No page seen", "First page of the visit",
                    "{} pages seen")),
    FeatureSpec("n_distinct_pages", "pages", "distinct pages, up to 16",
                group="visit_length", says=wording.count("No page seen", "One page seen, no other",
                    "{} different pages seen")),
    FeatureSpec("is_bounce_so_far", "0/1", "one page and 10 s at most",
                group="visit_length", says=wording.fact("Stayed beyond the first page",
                    "One page and a few seconds so far")),
    FeatureSpec("repeat_page_ratio", "ratio", "pages shown before", "no page",
                group="visit_length", says=wording.share(
                    "{} of page views were of a page seen before",
                    "No page seen", "No page seen twice")),
    FeatureSpec("n_home_pages", "events", "views of the front page",
                group="page_kinds", says=wording.count("Front page not seen",
                    "One view of the front page", "{} views of the front page")),
    FeatureSpec("n_list_pages", "events", "views of category pages",
                group="lists", says=wording.count("No category page seen",
                    "One category page seen", "{} category pages seen")),
    FeatureSpec("n_item_pages", "events", "views of product pages",
                group="products", says=wording.count("No product page seen",
                    "One product page seen", "{} product pages seen")),
    FeatureSpec("n_account_pages", "events", "views of log-in and account pages",
                group="account", says=wording.count("No log-in or account page seen",
                    "One log-in or account page seen", "{} log-in or account pages seen")),
    FeatureSpec("n_policy_pages", "events", "views of shipping, returns and help pages",
                group="help", says=wording.count("No page on delivery, returns or help seen",
                    "One page on delivery, returns or help seen",
                    "{} pages on delivery, returns or help seen")),
    FeatureSpec("n_error_pages", "events", "pages that could not be shown",
                group="trouble", says=wording.count("No error page", "One error page",
                    "{} error pages")),
    FeatureSpec("landing_page_type", "code", "kind of the first page, PageType", "no page",
                group="landing_page", says=wording.code("Landed on {}", _PAGES,
                    "Not landed on a page yet")),
    FeatureSpec("last_page_type", "code", "kind of the last page, PageType", "no page",
                group="page_kinds", says=wording.code("Last page was {}", _PAGES,
                    "Last page not known")),
    FeatureSpec("n_scrolls", "events", "scroll events",
                group="attention", says=wording.count("No scrolling reported", "Scrolled once",
                    "Scrolled {} times")),
    FeatureSpec("max_scroll", "percent", "furthest scroll", "never reported",
                group="attention", says=wording.figure("Scrolled down to {}% of a page",
                    "No scrolling reported")),
    FeatureSpec("micro_rate", "ratio", "hover, expand and scroll events per page", "no page",
                group="attention", says=wording.figure(
                    "{} times hovered, expanded or scrolled per page", "No page seen",
                    one="Hovered, expanded or scrolled once per page",
                    none="No hovering, expanding or scrolling")),
    FeatureSpec("dead_clicks", "events", "clicks that did nothing",
                group="trouble", says=wording.count("No click without effect",
                    "One click without effect", "{} clicks without effect")),
    FeatureSpec("video_replays", "events", "videos watched again",
                group="attention", says=wording.count("No video watched again",
                    "One video watched again", "{} videos watched again")),
)  # fmt: skip

_PAGE_VIEW = int(EventType.PAGE_VIEW)
_SCROLL = int(EventType.SCROLL)
_HOVER = int(EventType.HOVER)
_EXPAND = int(EventType.EXPAND)
_DEAD_CLICK = int(EventType.DEAD_CLICK)
_VIDEO_REPLAY = int(EventType.VIDEO_REPLAY)
_HOME = int(PageType.HOME)
_LIST = int(PageType.LIST)
_ITEM = int(PageType.ITEM)
_ACCOUNT = int(PageType.ACCOUNT)
_POLICY = int(PageType.POLICY)
_ERROR = int(PageType.ERROR)
_COUNTER_CAP = 32_767
_BOUNCE_S = 10.0


@compiled
def observe(state: Any, event: Any) -> None:
    """Fold one event."""
    kind = event["type"]
    if kind == _PAGE_VIEW:
        _observe_page(state, event)
    elif kind == _SCROLL:
        state["n_scrolls"] += 1
        state["n_micro"] += 1
    elif kind == _HOVER or kind == _EXPAND:
        state["n_micro"] += 1
    elif kind == _DEAD_CLICK:
        state["dead_clicks"] += 1
    elif kind == _VIDEO_REPLAY:
        state["video_replays"] += 1
    if event["scroll"] >= 0:  # NaN is not
        state["has_scroll"] = 1
        state["max_scroll"] = max(state["max_scroll"], event["scroll"])


@compiled
def _observe_page(state: Any, event: Any) -> None:
    kind = event["page_type"]
    if state["n_page_views"] == 0:
        state["landing_page_type"] = kind
    state["last_page_type"] = kind
    state["n_page_views"] += 1
    if state["page_type_views"][kind] < _COUNTER_CAP:
        state["page_type_views"][kind] += 1
    if event["page"] == 0:
        return  # without an id it can't be told from others
    if find_slot(state["page_keys"], state["n_page_slots"], event["page"]) >= 0:
        state["n_repeat_pages"] += 1
    elif state["n_page_slots"] < SLOTS:
        state["page_keys"][state["n_page_slots"]] = event["page"]
        state["n_page_slots"] += 1


@compiled
def describe(state: Any, now: int, out: Any) -> None:
    """Write the family's features as of `now`."""
    pages = state["n_page_views"]
    views = state["page_type_views"]
    out["n_page_views"] = pages
    out["n_distinct_pages"] = state["n_page_slots"]
    seconds = max((now - state["first_time"]) / 1e6, state["engagement_s"])
    out["is_bounce_so_far"] = 1.0 if pages <= 1 and seconds <= _BOUNCE_S else 0.0
    out["repeat_page_ratio"] = state["n_repeat_pages"] / pages if pages > 0 else np.nan
    out["n_home_pages"] = views[_HOME]
    out["n_list_pages"] = views[_LIST]
    out["n_item_pages"] = views[_ITEM]
    out["n_account_pages"] = views[_ACCOUNT]
    out["n_policy_pages"] = views[_POLICY]
    out["n_error_pages"] = views[_ERROR]
    out["landing_page_type"] = state["landing_page_type"] if pages > 0 else np.nan
    out["last_page_type"] = state["last_page_type"] if pages > 0 else np.nan
    out["n_scrolls"] = state["n_scrolls"]
    out["max_scroll"] = state["max_scroll"] if state["has_scroll"] else np.nan
    out["micro_rate"] = state["n_micro"] / pages if pages > 0 else np.nan
    out["dead_clicks"] = state["dead_clicks"]
    out["video_replays"] = state["video_replays"]

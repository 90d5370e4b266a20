"""What visitors do beside looking and buying: forms, videos, downloads, comparisons, help.

Each kind is counted up to 32,767.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from micromoment.events.vocabulary import N_EVENT_TYPES, EventType
from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.spec import FeatureSpec

# One place of `act_counts` each, in this order.
_ACTS: Final = (
    EventType.REVIEW,
    EventType.SHARE,
    EventType.COMPARE,
    EventType.WISHLIST_REMOVE,
    EventType.FORM_START,
    EventType.FORM_ABANDON,
    EventType.VIDEO_START,
    EventType.DOWNLOAD,
    EventType.SUPPORT_CONTACT,
    EventType.LINK_CLICK,
)

STATE_FIELDS = [("act_counts", "i2", (len(_ACTS),))]

FEATURES = (
    FeatureSpec("n_reviews", "events", "product reviews written",
                group="social", says=wording.count("No review written", "One review written",
                    "{} reviews written")),
    FeatureSpec("n_shares", "events", "products or pages shared",
                group="social", says=wording.count("Nothing shared", "One page or product shared",
                    "{} pages or products shared")),
    FeatureSpec("n_compares", "events", "comparisons of products",
                group="products", says=wording.count("No comparison of products",
                    "One comparison of products", "{} comparisons of products")),
    FeatureSpec("n_wishlist_removes", "events", "products taken off the wish list",
                group="wish_list", says=wording.count("Nothing taken off the wish list",
                    "One product taken off the wish list", "{} products taken off the wish list")),
    FeatureSpec("n_form_starts", "events", "forms begun",
                group="account", says=wording.count("No form begun", "One form begun",
                    "{} forms begun")),
    FeatureSpec("n_form_abandons", "events", "forms left unsent",
                group="account", says=wording.count("No form left unsent", "One form left unsent",
                    "{} forms left unsent")),
    FeatureSpec("n_video_starts", "events", "videos started",
                group="attention", says=wording.count("No video started", "One video started",
                    "{} videos started")),
    FeatureSpec("n_downloads", "events", "files downloaded",
                group="attention", says=wording.count("Nothing downloaded", "One download",
                    "{} downloads")),
    FeatureSpec("n_support_contacts", "events", "contacts with support: chat, call, mail",
                group="help", says=wording.count("No contact with support",
                    "One contact with support", "{} contacts with support")),
    FeatureSpec("n_link_clicks", "events", "clicks on links that lead out of the shop",
                group="links_out", says=wording.count("No click on a link out of the shop",
                    "One click on a link out of the shop", "{} clicks on links out of the shop")),
)  # fmt: skip

_COUNTER_CAP = 32_767
_NO_PLACE = -1
_PLACE_OF_TYPE = np.full(N_EVENT_TYPES, _NO_PLACE, dtype=np.int64)
for _place, _type in enumerate(_ACTS):
    _PLACE_OF_TYPE[_type] = _place

_REVIEW, _SHARE, _COMPARE, _WISHLIST_REMOVE, _FORM_START = range(5)
_FORM_ABANDON, _VIDEO_START, _DOWNLOAD, _SUPPORT_CONTACT, _LINK_CLICK = range(5, 10)


@compiled
def observe(state: Any, event: Any) -> None:
    """Fold one event."""
    place = _PLACE_OF_TYPE[event["type"]]
    if place != _NO_PLACE and state["act_counts"][place] < _COUNTER_CAP:
        state["act_counts"][place] += 1


@compiled
def describe(state: Any, out: Any) -> None:
    """Write the family's features."""
    counts = state["act_counts"]
    out["n_reviews"] = counts[_REVIEW]
    out["n_shares"] = counts[_SHARE]
    out["n_compares"] = counts[_COMPARE]
    out["n_wishlist_removes"] = counts[_WISHLIST_REMOVE]
    out["n_form_starts"] = counts[_FORM_START]
    out["n_form_abandons"] = counts[_FORM_ABANDON]
    out["n_video_starts"] = counts[_VIDEO_START]
    out["n_downloads"] = counts[_DOWNLOAD]
    out["n_support_contacts"] = counts[_SUPPORT_CONTACT]
    out["n_link_clicks"] = counts[_LINK_CLICK]

"""Features that mean the same in any shop, and so may be learned from another one.

Left out is what depends on the prices and currency of a shop, its clock and its customers' habits,
the identity of its pages, sources and products (learned tables), its devices' and sources' mix, and
what visitors did before this visit: of a new shop nobody has a past. Counts of acts that the
simulator never shows could only say nothing, or the wrong thing.
"""

from __future__ import annotations

from typing import Final

PORTABLE_FEATURES: Final[tuple[str, ...]] = (
    "n_events",
    "duration_s",
    "secs_since_prev",
    "mean_gap_s",
    "gap_cv",
    "n_item_views",
    "n_list_views",
    "n_searches",
    "n_promo_clicks",
    "n_distinct_items",
    "repeat_view_ratio",
    "max_views_one_item",
    "n_distinct_categories",
    "n_cart_adds",
    "n_cart_removes",
    "cart_qty",
    "secs_since_last_add",
    "events_since_first_add",
    "cart_viewed",
    "stage",
    "max_stage",
    "stage_backsteps",
    "n_checkout_steps",
    "secs_since_checkout",
    "shipping_seen_no_payment",
    "payment_seen",
    "n_page_views",
    "n_distinct_pages",
    "is_bounce_so_far",
    "repeat_page_ratio",
    "n_home_pages",
    "n_list_pages",
    "n_item_pages",
    "n_account_pages",
    "n_policy_pages",
    "n_error_pages",
    "landing_page_type",
    "last_page_type",
    "n_scrolls",
)

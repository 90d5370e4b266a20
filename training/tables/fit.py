"""All learned tables, fitted on the parts of a replay."""

from __future__ import annotations

from pathlib import Path

from micromoment.features.tables import Tables, tables_from_arrays
from training.replay.run import ReplaySettings
from training.tables.encodings import collect_points, fit_encodings
from training.tables.order_gaps import collect_purchases, fit_order_gaps
from training.tables.popularity import fit_popularity
from training.tables.prices import fit_price_edges
from training.tables.products import collect_products
from training.tables.transitions import count_transitions, fit_transitions


def fit_tables(parts: list[Path], settings: ReplaySettings) -> Tables:
    """Fit every table with all its folds and days; `served_tables` keeps what a bundle carries."""
    products = collect_products(parts, settings)
    return tables_from_arrays(
        {
            "transition_llr": fit_transitions(count_transitions(parts, settings)),
            **fit_encodings(collect_points(parts, settings)),
            **fit_popularity("item_popularity", products.items, settings.shop),
            **fit_popularity("category_popularity", products.categories, settings.shop),
            "order_gap_days": fit_order_gaps(collect_purchases(parts, settings)),
            "price_edges": fit_price_edges(products),
        }
    )

"""Edges of price buckets: the deciles of the prices of all looks at products."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.tables.products import ProductCounts


def fit_price_edges(counts: ProductCounts) -> npt.NDArray[np.float64]:
    """Give `Tables.price_edges`, in currency units, shape (9,); shape (0,) without any price.

    Edge j is the smallest price at which j tenths of the looks or more are at it or below.
    """
    looks = np.cumsum(counts.looks)
    if not len(looks):
        return np.zeros(0)
    # In whole numbers, so that a tenth is exactly that.
    places = np.searchsorted(10 * looks, looks[-1] * np.arange(1, 10))
    edges: npt.NDArray[np.float64] = counts.prices[places] / 1e6
    return edges

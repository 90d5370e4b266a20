"""Clusters of a new training beside those of the bundle before: which ones are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from micromoment.scoring.clusters import ClusterFile, ClusterRecord, Dimension

# Root mean square over the dimensions, in standard deviations of the new training's points.
MAX_DISTANCE: Final = 0.5
# Of the way to the next earlier cluster: one far from all others may move further. A rare act, such
# as a checkout, lies many deviations away.
MAX_WAY: Final = 0.25

FloatArray = npt.NDArray[np.float64]


def match_clusters(
    previous: ClusterFile, dimensions: Sequence[Dimension], centroids: FloatArray
) -> dict[int, ClusterRecord]:
    """Give the earlier cluster of each new one that has one, by the new one's place.

    `centroids`, shape (k, d), are in the units of `dimensions`. Pairs are those of the least
    distance in all, and hold where they are near enough. Files that share less than half of their
    dimensions can't be compared: nothing matches.
    """
    earlier = {(one.feature, one.log): place for place, one in enumerate(previous.dimensions)}
    shared = [
        (place, earlier[one.feature, one.log])
        for place, one in enumerate(dimensions)
        if (one.feature, one.log) in earlier
    ]
    if 2 * len(shared) < max(len(dimensions), len(previous.dimensions)):
        return {}
    new = centroids[:, [place for place, _ in shared]]
    old = np.array(
        [
            [
                _in_units_of(
                    dimensions[place], previous.dimensions[before], cluster.centroid[before]
                )
                for place, before in shared
            ]
            for cluster in previous.clusters
        ]
    )
    distances = np.sqrt(((new[:, None, :] - old[None, :, :]) ** 2).mean(axis=2))
    pairs = zip(*linear_sum_assignment(distances), strict=True)
    return {
        int(place): previous.clusters[before]
        for place, before in pairs
        if distances[place, before] <= _reach(distances[place], before)
    }


def _reach(distances: FloatArray, before: int) -> float:
    others = np.delete(distances, before)
    return max(MAX_DISTANCE, MAX_WAY * float(others.min())) if len(others) else MAX_DISTANCE


def _in_units_of(dimension: Dimension, before: Dimension, coordinate: float) -> float:
    value = before.mean + before.scale * coordinate
    return (value - dimension.mean) / dimension.scale

"""Clusters keep number, id and name over retrainings where they are the same."""

from __future__ import annotations

import numpy as np

from micromoment.scoring.clusters import ClusterFile, ClusterRecord, Dimension
from training.segments.matching import match_clusters


def dimension(feature: str, mean: float = 0.0, scale: float = 1.0) -> Dimension:
    """Make a dimension."""
    return Dimension(feature=feature, log=True, fill=0, mean=mean, scale=scale)


def record(number: int, *centroid: float) -> ClusterRecord:
    """Make a cluster."""
    return ClusterRecord(
        number=number, id=f"c{number}", name="C", meaning="", share=0.5, centroid=centroid
    )


PREVIOUS = ClusterFile(
    dimensions=(dimension("n_events"), dimension("duration_s")),
    clusters=(record(5, -1.0, -1.0), record(2, 1.0, 1.0)),
    quality={},
)
SAME = PREVIOUS.dimensions


def matched(centroids: list[list[float]], dimensions: tuple[Dimension, ...] = SAME) -> dict:
    """Give the earlier number of each new cluster that has one."""
    found = match_clusters(PREVIOUS, dimensions, np.array(centroids))
    return {place: one.number for place, one in found.items()}


def test_the_same_clusters_in_another_order() -> None:
    """k-means numbers them as it likes; they are known by where they lie."""
    assert matched([[1.0, 1.0], [-1.0, -1.0]]) == {0: 2, 1: 5}


def test_small_moves_are_no_change() -> None:
    """A shop's week differs a little from the week before."""
    assert matched([[1.3, 0.8], [-0.9, -1.2]]) == {0: 2, 1: 5}


def test_a_far_one_is_new() -> None:
    """What lies elsewhere is another cluster, even if it is the nearest there is."""
    assert matched([[1.0, 1.0], [-3.0, 2.0]]) == {0: 2}


def test_one_that_lies_alone_may_move_further() -> None:
    """Up to a quarter of the way to the next earlier cluster, as rare acts do."""
    far = PREVIOUS.model_copy(update={"clusters": (record(5, 0.0, 0.0), record(2, 20.0, 20.0))})
    for place, expected in (([16.5, 16.5], {0: 2}), ([12.0, 12.0], {})):
        found = match_clusters(far, SAME, np.array([place]))
        assert {key: one.number for key, one in found.items()} == expected


def test_one_earlier_cluster_is_given_once() -> None:
    """When a cluster splits, the nearer part keeps the name."""
    assert matched([[1.05, 1.0], [1.3, 1.3], [-1.0, -1.0]]) == {0: 2, 2: 5}


def test_units_of_the_earlier_training_are_converted() -> None:
    """The same place in the shop's units counts, however either training scaled them."""
    moved = (dimension("n_events", mean=2.0, scale=4.0), dimension("duration_s", 1.0, 0.5))
    assert matched([[(1 - 2) / 4, 0.0], [(-1 - 2) / 4, -4.0]], moved) == {0: 2, 1: 5}


def test_dimensions_may_come_and_go() -> None:
    """Those that both have are compared, unless they are less than half."""
    more = (*SAME, dimension("n_searches"))
    assert matched([[1.0, 1.0, 5.0]], more) == {0: 2}
    others = (dimension("n_events"), *(dimension(name) for name in ("a", "b")))
    assert matched([[1.0, 0.0, 0.0]], others) == {}

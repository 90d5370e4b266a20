"""The picture of the clusters' space."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from micromoment.scoring.clusters import Clusters
from tests.support.segments import two_clusters
from training.models.importance import sample_points
from training.models.rows import DecisionRows
from training.segments.clusters import fit_clusters, standardise
from training.segments.space import MAX_POINTS, cluster_space

Maker = Callable[..., tuple[DecisionRows, np.ndarray]]


def test_points_lie_where_their_cluster_is(shop: Maker) -> None:
    """Each has the cluster that serving gives it; most lie nearest to its centre in the picture."""
    rows, _ = shop(1_500)
    file = fit_clusters(rows)
    space = cluster_space(file, rows)
    assert space is not None
    assert space.points.shape == (MAX_POINTS, 2)
    assert space.ids == tuple(one.id for one in file.clusters)
    sample = sample_points(rows, MAX_POINTS, 1)
    numbers = Clusters(file, rows.feature_names).numbers(sample.features)
    assert [file.clusters[place].number for place in space.cluster] == numbers.tolist()
    distance = np.linalg.norm(space.points[:, np.newaxis] - space.centroids, axis=2)
    assert (distance.argmin(axis=1) == space.cluster).mean() > 0.7


def test_directions_are_the_widest_and_point_to_more(shop: Maker) -> None:
    """The first explains more than the second; features of depth grow along it."""
    rows, _ = shop(1_500)
    space = cluster_space(fit_clusters(rows), rows)
    assert space is not None
    first, second = space.explained
    assert 1 > first > second > 0
    assert first + second <= 1
    assert sum(space.weights[0].values()) > 0
    assert np.var(space.points[:, 0]) > np.var(space.points[:, 1])


def test_one_dimension_makes_no_picture(shop: Maker) -> None:
    """Neither do fewer than two points."""
    rows, _ = shop(600)
    assert cluster_space(two_clusters(), rows) is None
    assert cluster_space(fit_clusters(rows), rows.take(np.arange(1))) is None


def test_a_point_at_a_centre_is_drawn_there(shop: Maker) -> None:
    """Points and centres are brought into the picture alike, whatever the units."""
    rows, _ = shop(600)
    file = fit_clusters(rows)
    wide = tuple(one.model_copy(update={"scale": one.scale / 7}) for one in file.dimensions)
    rows = rows.take(np.arange(300))
    at = standardise(rows, wide)[[3, 200]]
    clusters = tuple(
        one.model_copy(update={"centroid": tuple(place.tolist())})
        for one, place in zip(file.clusters, at, strict=False)
    )
    space = cluster_space(file.model_copy(update={"dimensions": wide, "clusters": clusters}), rows)
    assert space is not None
    assert space.centroids == pytest.approx(space.points[[3, 200]])

"""Clusters: each row belongs to the nearest centroid, and a bad file says what is wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.errors import BundleError
from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.clusters import ClusterFile, ClusterRecord, Clusters, Dimension
from micromoment.scoring.clusters import load_clusters as load
from tests.support.bundles import made_up_rows
from tests.support.segments import matrix_of, row_of, two_clusters

NAN = float("nan")


def numbers(file: ClusterFile, *rows: list[float]) -> list[int]:
    """Assign rows of the full vector."""
    found: list[int] = Clusters(file, FEATURE_NAMES).numbers(matrix_of(*rows)).tolist()
    return found


def test_nearest_in_scaled_logarithms() -> None:
    """log(1 + 6) is below 2, log(1 + 7) above it."""
    rows = [row_of(n_events=n) for n in (0, 1, 6, 7, 1_000)]
    assert numbers(two_clusters(), *rows) == [3, 3, 3, 7, 7]


def test_of_two_as_near_the_first_is_taken() -> None:
    """Exactly between both centroids the file's order decides."""
    assert numbers(two_clusters(cut=0.0), row_of(n_events=0)) == [3]


def test_a_missing_value_is_filled_in() -> None:
    """The fill is in the feature's own unit, before the logarithm."""
    file = two_clusters()
    many = file.dimensions[0].model_copy(update={"fill": 50.0})
    assert numbers(file, row_of(n_events=NAN)) == [3]
    assert numbers(file.model_copy(update={"dimensions": (many,)}), row_of(n_events=NAN)) == [7]


def test_a_negative_count_is_no_error() -> None:
    """Below 0 there is no logarithm of 1 + value to speak of: it counts as 0."""
    assert numbers(two_clusters(), row_of(n_events=-5.0)) == [3]


@given(
    st.lists(st.lists(st.floats(-50, 500, width=32), min_size=3, max_size=3), min_size=1),
    st.integers(0, 5),
)
def test_equals_a_plain_reading_of_the_rule(values: list[list[float]], seed: int) -> None:
    """The compiled search agrees with NumPy's on random centroids, rows and missing values."""
    random = np.random.default_rng(seed)
    names = ("n_events", "gap_cv", "max_scroll")
    file = ClusterFile(
        dimensions=tuple(
            Dimension(
                feature=name,
                log=place != 1,
                fill=float(random.integers(0, 9)),
                mean=float(random.normal()),
                scale=float(random.uniform(0.5, 2)),
            )
            for place, name in enumerate(names)
        ),
        clusters=tuple(
            ClusterRecord(
                number=place + 1,
                id=f"c{place}",
                name="c",
                meaning="",
                share=0.25,
                centroid=tuple(random.normal(size=3).tolist()),
            )
            for place in range(4)
        ),
        quality={},
    )
    matrix = np.array(values, np.float32)
    matrix[random.random(matrix.shape) < 0.2] = NAN
    points = matrix.astype(np.float64)
    for place, dimension in enumerate(file.dimensions):
        column = np.where(np.isnan(points[:, place]), dimension.fill, points[:, place])
        column = np.log1p(np.maximum(column, 0)) if dimension.log else column
        points[:, place] = (column - dimension.mean) / dimension.scale
    centroids = np.array([one.centroid for one in file.clusters])
    distances = ((points[:, None] - centroids) ** 2).sum(axis=2)
    found = Clusters(file, names).numbers(matrix)
    chosen = distances[np.arange(len(matrix)), found.astype(int) - 1]
    assert np.allclose(chosen, distances.min(axis=1), rtol=1e-12, atol=1e-12)


def test_one_row_and_many_get_the_same() -> None:
    """A row alone, as serving asks, gets the number that it gets among others."""
    clusters = Clusters(two_clusters(), FEATURE_NAMES)
    rows, _ = made_up_rows()
    alone = [int(clusters.numbers(rows[place : place + 1])[0]) for place in range(200)]
    assert alone == clusters.numbers(rows[:200]).tolist()
    assert set(alone) == {3, 7}


def test_clusters_are_found_by_number() -> None:
    """A number that the file doesn't have, from another bundle, gives none."""
    clusters = Clusters(two_clusters(), FEATURE_NAMES)
    found = clusters.get(7)
    assert found is not None
    assert found.id == "many"
    assert clusters.get(0) is None
    assert clusters.get(1) is None


def change(path: tuple[Any, ...], value: object) -> bytes:
    """Give the file of two clusters with one value replaced."""
    content = two_clusters().model_dump(mode="json")
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (change(("clusters", 1, "centroid"), [1.0, 2.0]), "cluster many has 2 coordinates"),
        (change(("clusters", 1, "number"), 3), "two clusters have the number 3"),
        (change(("clusters", 1, "id"), "few"), "two clusters have the id few"),
        (change(("clusters", 1, "number"), 0), "clusters.many.number"),
        (change(("clusters", 1, "number"), 256), "clusters.many.number"),
        (change(("clusters", 0, "name"), ""), "clusters.few.name"),
        (change(("clusters", 0, "share"), 1.5), "clusters.few.share"),
        (change(("clusters", 0, "centroid"), ["x"]), "clusters.few.centroid.0"),
        (change(("clusters", 0, "colour"), "red"), "clusters.few.colour"),
        (change(("clusters", 0, "id"), "No Id"), "clusters.No Id.id"),
        (change(("clusters",), []), "clusters"),
        (change(("clusters", 0), 4), "clusters.0"),
        (change(("dimensions", 0, "scale"), 0), "dimensions.0.scale"),
        (change(("dimensions", 0, "feature"), "shoe_size"), "shoe_size"),
        (change(("retired",), [7]), "cluster many has the number 7 of a retired one"),
        (b"{", "Invalid JSON"),
        (b"", "Invalid JSON"),
    ],
)
def test_a_bad_file_says_what_is_wrong(content: bytes, message: str) -> None:
    """The bundle, the file and the cluster at fault are named."""
    with pytest.raises(BundleError) as caught:
        load("clusters.json", content, FEATURE_NAMES, "shop:1")
    assert "shop:1" in str(caught.value)
    assert "clusters.json" in str(caught.value)
    assert message in str(caught.value)


def test_a_centroid_that_is_no_number_is_refused() -> None:
    """Neither infinity nor NaN can be a coordinate."""
    content = two_clusters().model_dump_json().replace("-1.0", "NaN", 1)
    with pytest.raises(BundleError, match=r"clusters\.few\.centroid"):
        load("clusters.json", content.encode(), FEATURE_NAMES, "shop:1")

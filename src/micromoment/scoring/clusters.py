"""Clusters of behaviour: each decision point belongs to the nearest of a few named centroids."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from micromoment.errors import BundleError
from micromoment.features._compile import compiled
from micromoment.scoring.file_errors import first_error
from micromoment.scoring.records import FrozenRecord

NONE: Final = 0  # the number of no cluster
_MAX_NUMBER: Final = 255  # the state keeps a byte

Float32Array = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Dimension(FrozenRecord):
    """A feature that clusters are made of: `(x - mean) / scale` of log(1 + value) or the value.

    `fill`, in the feature's own unit, stands for a missing value.
    """

    feature: str
    log: bool
    fill: float
    mean: float
    scale: float = Field(gt=0)


class ClusterRecord(FrozenRecord):
    """One cluster: its number and id stay the same over retrainings."""

    number: int = Field(ge=1, le=_MAX_NUMBER)
    id: str = Field(pattern="^[a-z][a-z0-9-]{0,62}$")
    name: str = Field(min_length=1)
    meaning: str
    share: float = Field(ge=0, le=1)  # of decision points in training
    centroid: tuple[float, ...]


class ClusterFile(FrozenRecord):
    """The bundle's file of clusters; `quality` says how they were chosen.

    `retired` are numbers that earlier bundles gave to clusters which are no more.
    """

    dimensions: tuple[Dimension, ...] = Field(min_length=1)
    clusters: tuple[ClusterRecord, ...] = Field(min_length=1)
    retired: tuple[int, ...] = ()
    quality: dict[str, Any]

    @model_validator(mode="after")
    def _fits_together(self) -> ClusterFile:
        for one in self.clusters:
            if len(one.centroid) != len(self.dimensions):
                raise ValueError(
                    f"cluster {one.id} has {len(one.centroid)} coordinates, "
                    f"there are {len(self.dimensions)} dimensions"
                )
        for key in ("number", "id"):
            values = [getattr(one, key) for one in self.clusters]
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"two clusters have the {key} {value}")
        for one in self.clusters:
            if one.number in self.retired:
                raise ValueError(f"cluster {one.id} has the number {one.number} of a retired one")
        return self


class ClusterSpace(NamedTuple):
    """What a point is placed by: d dimensions and k centroids, for compiled code.

    `places` among the features, shape (d,); `scaling`, shape (d, 4), as `Dimension` says: log,
    fill, mean and scale; `centroids`, shape (k, d); their `numbers`, shape (k,).
    """

    places: IntArray
    scaling: FloatArray
    centroids: FloatArray
    numbers: IntArray


class Clusters:
    """Assigns rows of the bundle's features to clusters."""

    def __init__(self, file: ClusterFile, feature_names: tuple[str, ...]) -> None:
        """Raises `ValueError` naming a feature that the bundle does not have."""
        places = []
        for dimension in file.dimensions:
            if dimension.feature not in feature_names:
                raise ValueError(f"clusters use {dimension.feature}, which is no feature of it")
            places.append(feature_names.index(dimension.feature))
        self.file = file
        rows = [(d.log, d.fill, d.mean, d.scale) for d in file.dimensions]
        self.space = ClusterSpace(
            np.array(places, dtype=np.int64),
            np.array(rows, dtype=np.float64),
            np.array([one.centroid for one in file.clusters], dtype=np.float64),
            np.array([one.number for one in file.clusters], dtype=np.int64),
        )
        self._by_number = {one.number: one for one in file.clusters}

    def numbers(self, rows: Float32Array) -> npt.NDArray[np.uint8]:
        """Give the number of the nearest cluster for m rows, shape (m, n), as (m,)."""
        found = np.empty(len(rows), np.uint8)
        _number_all(rows, self.space, found)
        return found

    def get(self, number: int) -> ClusterRecord | None:
        """Give a cluster by its number; None where there is none of that number."""
        return self._by_number.get(number)


def load_clusters(
    file: str, content: bytes, feature_names: tuple[str, ...], bundle: str
) -> Clusters:
    """Make clusters of a file's content. Raises `BundleError` saying what is wrong with them."""
    try:
        return Clusters(ClusterFile.model_validate_json(content), feature_names)
    except ValidationError as error:
        raise BundleError(bundle, f"{file}, {first_error(error, content)}") from None
    except ValueError as error:
        raise BundleError(bundle, f"{file}: {error}") from None


@compiled
def nearest(row: Any, space: Any, point: Any) -> int:
    """Give the number of the centroid that is nearest to a row of the bundle's features.

    By squared Euclidean distance, the first of equals. `space` is a `ClusterSpace`, `point` has
    room for a coordinate in each dimension.
    """
    places, scaling, centroids, numbers = space
    for place in range(len(places)):
        value = float(row[places[place]])
        if np.isnan(value):
            value = scaling[place, 1]
        if scaling[place, 0] > 0:
            value = np.log1p(max(value, 0.0))
        point[place] = (value - scaling[place, 2]) / scaling[place, 3]
    best = np.inf
    found = 0
    for centroid in range(len(centroids)):
        distance = 0.0
        for place in range(len(places)):
            gap = point[place] - centroids[centroid, place]
            distance += gap * gap
        if distance < best:
            best = distance
            found = centroid
    return int(numbers[found])


@compiled
def _number_all(rows: Any, space: Any, found: Any) -> None:
    point = np.zeros(len(space[0]))
    for row in range(len(rows)):
        found[row] = nearest(rows[row], space, point)

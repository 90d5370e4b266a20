"""A picture of the space that clusters live in: its two widest directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.scoring.clusters import ClusterFile, Clusters
from training.models.importance import sample_points
from training.models.rows import DecisionRows
from training.segments.clusters import standardise

MAX_POINTS: Final = 1_500
_SEED: Final = 1

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClusterSpace:
    """n points and c centroids on two principal components of the clusters' dimensions.

    `cluster` has each point's place in `ids`. `explained` are the shares of the points' variance;
    `weights` say, by feature, what each direction goes by.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    points: FloatArray  # (n, 2)
    cluster: npt.NDArray[np.int64]  # (n,)
    centroids: FloatArray  # (c, 2)
    explained: tuple[float, float]
    weights: tuple[Mapping[str, float], Mapping[str, float]]


def cluster_space(file: ClusterFile, rows: DecisionRows) -> ClusterSpace | None:
    """Project at most `MAX_POINTS` decision points; None with fewer than two dimensions or points.

    Components point where events grow, so that the picture is not mirrored by chance.
    """
    rows = sample_points(rows, MAX_POINTS, _SEED)
    if len(rows) < 2 or len(file.dimensions) < 2:
        return None
    scaled = standardise(rows, file.dimensions)
    middle, width = scaled.mean(axis=0), scaled.std(axis=0)
    # In units of these points: what few visits do would stretch the picture otherwise.
    width = np.where(width > 0, width, 1.0)
    scaled = (scaled - middle) / width
    _, spread, axes = np.linalg.svd(scaled, full_matrices=False)
    variance = spread**2 / max(float((spread**2).sum()), np.finfo(np.float64).tiny)
    axes = axes[:2] * np.where(axes[:2].sum(axis=1) < 0, -1.0, 1.0)[:, np.newaxis]
    numbers = [one.number for one in file.clusters]
    own = Clusters(file, rows.feature_names).numbers(rows.features)
    centroids = np.array([one.centroid for one in file.clusters])
    features = [one.feature for one in file.dimensions]
    weights = [dict(zip(features, axis.tolist(), strict=True)) for axis in axes]
    return ClusterSpace(
        ids=tuple(one.id for one in file.clusters),
        names=tuple(one.name for one in file.clusters),
        points=scaled @ axes.T,
        cluster=np.array([numbers.index(one) for one in own.tolist()], np.int64),
        centroids=((centroids - middle) / width) @ axes.T,
        explained=(float(variance[0]), float(variance[1])),
        weights=(weights[0], weights[1]),
    )

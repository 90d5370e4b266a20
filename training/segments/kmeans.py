"""k-means with what speaks for a number of clusters: stability, of two kinds, and separation.

Threads are held to one: sums in another order would give other bits, and so another bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits

CANDIDATES: Final = (2, 3, 4)
# Between two draws from one shop or two of its weeks; 1 is the same clusters, 0 is chance.
MIN_STABILITY: Final = 0.8
MIN_SEPARATION: Final = 0.25
_DRAWS: Final = 10
_STARTS: Final = 5
_JUDGED_POINTS: Final = 4_000

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trial:
    """One number of clusters: its centroids, shape (k, d), and how well they hold.

    `stability` is the mean adjusted Rand index between the clusters of all points and those of
    bootstrap draws of visits, `least_stability` the lowest of the draws; `separation` is the mean
    silhouette. `between_weeks` is the mean index, on the later period's points, between clusters
    found in one period and those found in the next, `least_between_weeks` the lowest; both are
    None where there are no two periods. Source: Hennig 2007; Rousseeuw 1987.
    """

    centroids: FloatArray
    stability: float
    least_stability: float
    separation: float
    between_weeks: float | None = None
    least_between_weeks: float | None = None

    @property
    def holds(self) -> bool:
        """Tell whether all that could be measured is high enough to speak of clusters."""
        return not self.falls_short()

    def falls_short(self) -> tuple[str, ...]:
        """Say what is too low to speak of clusters, in plain words."""
        found = []
        if self.stability < MIN_STABILITY:
            found.append(f"stability {self.stability:.2f} is below {MIN_STABILITY}")
        if self.between_weeks is not None and self.between_weeks < MIN_STABILITY:
            found.append(f"between weeks {self.between_weeks:.2f} is below {MIN_STABILITY}")
        if self.separation < MIN_SEPARATION:
            found.append(f"separation {self.separation:.2f} is below {MIN_SEPARATION}")
        return tuple(found)


def try_numbers(
    points: FloatArray, visit: IntArray, seed: int, periods: Sequence[IntArray] = ()
) -> dict[int, Trial]:
    """Try each number of clusters on standardised points, shape (n, d); `visit` is (n,).

    `periods` are the places of successive periods' points, in order of time.
    """
    judged = np.random.default_rng(seed).permutation(len(points))[:_JUDGED_POINTS]
    with threadpool_limits(1):
        draws = [_draw(visit, seed + number) for number in range(_DRAWS)]
        return {k: _try(points, draws, judged, periods, k, seed) for k in CANDIDATES}


def choose(trials: dict[int, Trial]) -> int | None:
    """Give the highest number of clusters that holds; None when none does."""
    return max((k for k, trial in trials.items() if trial.holds), default=None)


def explain(trials: dict[int, Trial]) -> str:
    """Say in plain words why that many clusters are taken, or none."""
    chosen = choose(trials)
    short = {k: ", ".join(trial.falls_short()) for k, trial in trials.items()}
    if chosen is None:
        return "; ".join(f"{k} clusters: {why}" for k, why in short.items())
    if chosen == max(trials):
        return f"{chosen} clusters hold by every measure; no more are tried"
    return "; ".join(
        [f"{chosen} clusters are the most that hold by every measure"]
        + [f"{k} clusters: {why}" for k, why in short.items() if k > chosen]
    )


def nearest(points: FloatArray, centroids: FloatArray) -> IntArray:
    """Give each point's nearest centroid, the first of equals: shape (n,)."""
    distances = ((points[:, None, :] - centroids[None, :, :]) ** 2).sum(axis=2)
    found: IntArray = distances.argmin(axis=1)
    return found


def _try(
    points: FloatArray,
    draws: Sequence[IntArray],
    judged: IntArray,
    periods: Sequence[IntArray],
    k: int,
    seed: int,
) -> Trial:
    centroids = _fit(points, k, seed)
    shown = points[judged]
    labels = nearest(shown, centroids)
    agreement = [
        adjusted_rand_score(labels, nearest(shown, _fit(points[draw], k, seed))) for draw in draws
    ]
    weeks = _between([points[own] for own in periods], k, seed)
    return Trial(
        centroids=centroids,
        stability=float(np.mean(agreement)),
        least_stability=float(np.min(agreement)),
        separation=float(silhouette_score(shown, labels)) if len(np.unique(labels)) > 1 else 0.0,
        between_weeks=float(np.mean(weeks)) if weeks else None,
        least_between_weeks=float(np.min(weeks)) if weeks else None,
    )


def _between(periods: Sequence[FloatArray], k: int, seed: int) -> list[float]:
    """Compare the clusters of each period with those of the next, on the next one's points."""
    found = [_fit(points, k, seed) for points in periods]
    return [
        float(adjusted_rand_score(nearest(points, before), nearest(points, own)))
        for points, before, own in zip(periods[1:], found[:-1], found[1:], strict=True)
    ]


def _fit(points: FloatArray, k: int, seed: int) -> FloatArray:
    model = KMeans(k, n_init=_STARTS, random_state=seed).fit(points)
    centroids: FloatArray = model.cluster_centers_.astype(np.float64)
    return centroids


def _draw(visit: IntArray, seed: int) -> IntArray:
    """Draw whole visits with replacement; gives their points' places."""
    visits, first, size = np.unique(visit, return_index=True, return_counts=True)
    if not np.array_equal(np.repeat(visits, size), visit):
        raise ValueError("points must be in order of visits")
    drawn = np.random.default_rng(seed).integers(0, len(visits), len(visits))
    lengths = size[drawn]
    ends = np.cumsum(lengths)
    within = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    places: IntArray = np.repeat(first[drawn], lengths) + within
    return places

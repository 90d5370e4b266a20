"""Clusters of behaviour: k-means over what visits did so far, never over a score or an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.clusters import ClusterFile, ClusterRecord, Clusters, Dimension
from training.models.rows import DecisionRows
from training.segments.kmeans import (
    MIN_SEPARATION,
    MIN_STABILITY,
    Trial,
    choose,
    explain,
    nearest,
    try_numbers,
)
from training.segments.matching import match_clusters
from training.segments.points import periods_of, points_at, sample_visits
from training.segments.profiles import ClusterName, Members, name_clusters

MIN_VISITS: Final = 500
# How far, how long, at what: what a visitor did, all on a logarithmic scale.
FEATURES: Final = (
    "n_events",
    "duration_s",
    "engagement_s",
    "n_scrolls",
    "n_page_views",
    "n_item_views",
    "n_list_views",
    "n_cart_adds",
    "n_checkout_steps",
)
_SEED: Final = 1
_DIGITS: Final = 6  # what is left of a number: more would differ between machines

FloatArray = npt.NDArray[np.float64]


def fit_clusters(rows: DecisionRows, previous: ClusterFile | None = None) -> ClusterFile:
    """Find as many clusters as are stable, and keep numbers, ids and names of `previous`.

    Raises `NotEnoughDataError` when there are too few visits or no number of clusters is stable.
    """
    rows = sample_visits(rows, _SEED)
    visits = len(np.unique(rows.session))
    if visits < MIN_VISITS:
        raise NotEnoughDataError(f"{visits} visits; {MIN_VISITS} are needed for clusters")
    at = points_at(rows)
    at = at[np.argsort(rows.session[at], kind="stable")]
    points = rows.take(at)
    dimensions = _dimensions(points)
    scaled = standardise(points, dimensions)
    periods = periods_of(points)
    trials = try_numbers(scaled, points.session, _SEED, periods)
    k = choose(trials)
    if k is None:
        raise NotEnoughDataError(f"no number of clusters holds: {explain(trials)}")
    centroids = np.round(trials[k].centroids, _DIGITS)
    members = _members(points, dimensions, centroids, nearest(scaled, centroids))
    found = _named(members, centroids, dimensions, previous)
    file = ClusterFile(
        dimensions=tuple(dimensions),
        clusters=tuple(
            ClusterRecord(
                number=name.number,
                id=name.id,
                name=name.name,
                meaning=name.meaning,
                share=0.0,
                centroid=tuple(centroids[place].tolist()),
            )
            for place, name in found
        ),
        retired=_retired(previous, {name.number for _, name in found}),
        quality={
            "visits": visits,
            "points": len(points),
            "chosen": k,
            "chosen_why": explain(trials),
            "periods": len(periods),
            "least_stability_asked": MIN_STABILITY,
            "least_separation_asked": MIN_SEPARATION,
            "by_number": _quality(trials),
        },
    )
    return _with_shares(file, rows)


def standardise(points: DecisionRows, dimensions: Sequence[Dimension]) -> FloatArray:
    """Give points in the clusters' units, shape (n, d), as serving does."""
    columns = []
    for dimension in dimensions:
        values = _raw(points, dimension.feature, dimension.fill)
        columns.append((values - dimension.mean) / dimension.scale)
    return np.stack(columns, axis=1)


def _raw(points: DecisionRows, feature: str, fill: float) -> FloatArray:
    values = points.columns((feature,))[:, 0].astype(np.float64)
    return np.log1p(np.maximum(np.where(np.isnan(values), fill, values), 0.0))


def _dimensions(points: DecisionRows) -> list[Dimension]:
    """Scale each feature to a mean of 0 and a deviation of 1; one that never varies says nothing.

    Raises `NotEnoughDataError` when none varies.
    """
    found = []
    for feature in FEATURES:
        values = _raw(points, feature, 0.0)
        scale = round(float(values.std()), _DIGITS)
        if scale > 0:
            mean = round(float(values.mean()), _DIGITS)
            found.append(Dimension(feature=feature, log=True, fill=0.0, mean=mean, scale=scale))
    if not found:
        raise NotEnoughDataError("all visits are alike in what clusters are made of")
    return found


def _members(
    points: DecisionRows,
    dimensions: Sequence[Dimension],
    centroids: FloatArray,
    labels: npt.NDArray[np.int64],
) -> list[Members]:
    found = []
    for place, centroid in enumerate(centroids.tolist()):
        own = points.columns((*FEATURES, "is_bounce_so_far"))[labels == place]
        if not len(own):  # an empty cluster has no members to be named after
            raise NotEnoughDataError("a cluster is empty: the visits are too much alike")
        values = dict(zip(FEATURES, np.nanmedian(own[:, :-1], axis=0).tolist(), strict=True))
        some = dict(zip(FEATURES, (own[:, :-1] >= 1).mean(axis=0).tolist(), strict=True))
        shares = {
            "bounced": float((own[:, -1] > 0).mean()),
            "looked": some["n_item_views"],
            "carted": some["n_cart_adds"],
            "checked_out": some["n_checkout_steps"],
        }
        names = [dimension.feature for dimension in dimensions]
        found.append(Members(values, shares, dict(zip(names, centroid, strict=True))))
    return found


def _named(
    members: Sequence[Members],
    centroids: FloatArray,
    dimensions: Sequence[Dimension],
    previous: ClusterFile | None,
) -> list[tuple[int, ClusterName]]:
    """Give each cluster's place and name, from the shallowest to the deepest."""
    kept, used_before = {}, set()
    if previous is not None:
        kept = {
            place: ClusterName(one.number, one.id, one.name, one.meaning)
            for place, one in match_clusters(previous, dimensions, centroids).items()
        }
        used_before = {one.number for one in previous.clusters} | set(previous.retired)
    names = name_clusters(members, kept, used_before)
    order = sorted(range(len(members)), key=lambda place: members[place].depth)
    return [(place, names[place]) for place in order]


def _retired(previous: ClusterFile | None, numbers: set[int]) -> tuple[int, ...]:
    if previous is None:
        return ()
    before = {one.number for one in previous.clusters} | set(previous.retired)
    return tuple(sorted(before - numbers))


def _quality(trials: dict[int, Trial]) -> dict[str, Any]:
    found = {}
    for k, trial in trials.items():
        values = asdict(trial)
        del values["centroids"]
        found[str(k)] = {
            name: None if value is None else round(value, 3) for name, value in values.items()
        }
    return found


def _with_shares(file: ClusterFile, rows: DecisionRows) -> ClusterFile:
    """State what part of all decision points each cluster has, as serving assigns them."""
    numbers = Clusters(file, rows.feature_names).numbers(rows.features)
    clusters = tuple(
        one.model_copy(update={"share": round(float((numbers == one.number).mean()), _DIGITS)})
        for one in file.clusters
    )
    return file.model_copy(update={"clusters": clusters})

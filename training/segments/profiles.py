"""Names for clusters by what their members do; a number and an id never change their meaning.

A profile is given to one cluster at most, and only where half of the cluster's points or more are
as it says. A cluster that no profile fits is described by what sets it apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

# Numbers below are those of profiles, for good; the state keeps a byte.
FIRST_FREE: Final = 16

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Members:
    """What a cluster's points in training are like.

    `values` are medians of features, `shares` of points: `bounced` (one page, 10 s), `looked` (at a
    product), `carted` (added to the cart), `checked_out` (began the checkout). `centroid` is in
    standard deviations, by feature.
    """

    values: Mapping[str, float]
    shares: Mapping[str, float]
    centroid: Mapping[str, float]

    @property
    def depth(self) -> float:
        """Order clusters from the shallowest to the deepest."""
        return float(np.mean(list(self.centroid.values())))


@dataclass(frozen=True)
class ClusterName:
    """What a cluster is called."""

    number: int
    id: str
    name: str
    meaning: str


@dataclass(frozen=True)
class _Profile:
    name: ClusterName
    fits: Callable[[Members], bool]


_DEEP_EVENTS: Final = 15

# The most telling first; of two clusters that fit, the deeper one is it.
_PROFILES: Final = (
    _Profile(
        ClusterName(4, "checkout", "Checkout", "Has begun the checkout, mostly."),
        lambda one: one.shares["checked_out"] >= 0.5,
    ),
    _Profile(
        ClusterName(
            5, "cart-builders", "Cart builders", "Puts goods into the cart, few begin the checkout."
        ),
        lambda one: one.shares["carted"] >= 0.5,
    ),
    _Profile(
        ClusterName(1, "bouncers", "Bouncers", "One page and ten seconds at most, so far."),
        lambda one: one.shares["bounced"] >= 0.5,
    ),
    _Profile(
        ClusterName(
            3, "deep-shoppers", "Deep shoppers", "Many pages and events over minutes, products too."
        ),
        lambda one: one.shares["looked"] >= 0.5 and one.values["n_events"] >= _DEEP_EVENTS,
    ),
    _Profile(
        ClusterName(
            2, "window-shoppers", "Window-shoppers", "Looks at a few products, buys nothing yet."
        ),
        lambda one: one.shares["looked"] >= 0.5 and one.values["n_events"] < _DEEP_EVENTS,
    ),
    _Profile(
        ClusterName(
            7, "deep-browsers", "Deep browsers", "Many pages and events, few of them at a product."
        ),
        lambda one: one.values["n_events"] >= _DEEP_EVENTS,
    ),
    _Profile(
        ClusterName(
            6, "brief-browsers", "Brief browsers", "A few pages, rarely a product, no cart."
        ),
        lambda one: one.values["n_page_views"] <= 4,
    ),
)


def name_clusters(
    clusters: Sequence[Members],
    kept: Mapping[int, ClusterName] | None = None,
    used_before: Collection[int] = (),
) -> list[ClusterName]:
    """Name clusters, in their order; `kept` are names, by place, that stay as they are.

    Numbers of `used_before` are not given anew, unless to the profile that they belong to.
    """
    names = dict(kept or {})
    deepest_first = sorted(range(len(clusters)), key=lambda place: -clusters[place].depth)
    for profile in _PROFILES:
        if _is_taken(profile.name, names):
            continue
        for place in deepest_first:
            if place not in names and profile.fits(clusters[place]):
                names[place] = profile.name
                break
    for place in deepest_first:
        if place not in names:
            taken = {one.number for one in names.values()} | set(used_before)
            number = next(n for n in range(FIRST_FREE, 256) if n not in taken)
            names[place] = _describe(number, clusters[place])
    return [names[place] for place in range(len(clusters))]


def _is_taken(name: ClusterName, names: Mapping[int, ClusterName]) -> bool:
    return any(one.number == name.number or one.id == name.id for one in names.values())


def _describe(number: int, members: Members) -> ClusterName:
    """Name a cluster after the two features that set it apart most."""
    apart = sorted(members.centroid.items(), key=lambda item: (-abs(item[1]), item[0]))[:2]
    words = [f"{'high' if value > 0 else 'low'} {feature}" for feature, value in apart]
    medians = ", ".join(f"{feature} {members.values[feature]:g}" for feature, _ in apart)
    name = " and ".join(words).capitalize()
    return ClusterName(number, f"group-{number}", name, f"Set apart by its medians: {medians}.")

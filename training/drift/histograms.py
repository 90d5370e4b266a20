"""Histograms of what a model was trained on: a bundle keeps them, so that drift can be measured.

Bins are cut at deciles of the training data, so that each holds about a tenth of them; where values
repeat, bins are fewer. A missing value is a bin of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.features.catalogue import family_of

_FITTED_APART: Final = "encodings"
_DECILES: Final = np.arange(1, 10) / 10
_LOWEST_SHARE: Final = 0.005  # the lowest value is a bin of its own from this share on

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of one quantity.

    `edges` are b - 1 rising upper bounds, included in their bin; the last of the b bins is open.
    `counts` has b numbers, `missing` counts what is NaN.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int

    @property
    def total(self) -> int:
        """All values, the missing ones included."""
        return sum(self.counts) + self.missing

    def recount(self, values: npt.NDArray[np.floating[Any]]) -> Histogram:
        """Count other values, shape (n,), in the same bins."""
        known = values[~np.isnan(values)].astype(np.float64)
        bins = np.searchsorted(np.array(self.edges), known, side="left")
        counts = np.bincount(bins, minlength=len(self.edges) + 1)
        return Histogram(self.edges, tuple(counts.tolist()), len(values) - len(known))


@dataclass(frozen=True, slots=True)
class TrainingHistograms:
    """Histograms of a model's features by name, and of its calibrated score.

    The features are those of all decision points that the model learned from, but for the learned
    encodings: in training each visitor's are fitted without him, so that they lie elsewhere than
    those that a server computes. The score is that of the calibration days, given by a model that
    had not seen them.
    """

    features: Mapping[str, Histogram]
    score: Histogram

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        features = {name: asdict(one) for name, one in self.features.items()}
        return {"features": features, "score": asdict(self.score)}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> TrainingHistograms:
        """Read what `to_dict` gave. Raises `KeyError` or `TypeError` when it isn't that."""
        features = {name: _read(one) for name, one in values["features"].items()}
        return TrainingHistograms(features, _read(values["score"]))


def histograms_of(
    features: npt.NDArray[np.float32], names: tuple[str, ...], score: FloatArray
) -> TrainingHistograms:
    """Count features of shape (n, len(names)), but for encodings, and a score of shape (m,)."""
    found = {
        name: histogram(features[:, place])
        for place, name in enumerate(names)
        if family_of(name) != _FITTED_APART
    }
    return TrainingHistograms(found, histogram(score))


def histogram(values: npt.NDArray[np.floating[Any]]) -> Histogram:
    """Cut values of shape (n,) at their own deciles, and count them."""
    known = np.sort(values[~np.isnan(values)]).astype(np.float64)
    return Histogram(_edges(known), (), 0).recount(values)


def _edges(known: FloatArray) -> tuple[float, ...]:
    if not len(known):
        return ()
    # Deciles that are values of the data: an interpolated one would differ with the data's order.
    at = np.minimum((_DECILES * len(known)).astype(np.int64), len(known) - 1)
    edges = known[at]
    lowest = known[0]
    # A flag that is rarely 0 has 1 at every decile.
    if np.searchsorted(known, lowest, side="right") >= max(2, _LOWEST_SHARE * len(known)):
        edges = np.append(edges, lowest)
    edges = np.unique(edges)
    return tuple(edges[edges < known[-1]].tolist())


def _read(values: Mapping[str, Any]) -> Histogram:
    return Histogram(tuple(values["edges"]), tuple(values["counts"]), values["missing"])

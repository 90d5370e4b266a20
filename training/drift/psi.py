"""Population stability index: how far later data lie from the bundle's training histograms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.drift.histograms import Histogram

# Usual readings, from credit scoring (Siddiqi 2006): below the first stable, above the second
# shifted. They are aids: with many cases, shifts far below them are no chance either.
WATCH: Final = 0.1
SHIFTED: Final = 0.25
_LEAST_SHARE: Final = 1e-4  # keeps the logarithm of an empty bin finite

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shift:
    """One quantity in training and later: shares by bin, missing values last."""

    name: str
    psi: float
    edges: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def missing(self) -> tuple[float, float]:
        """Shares of missing values before and after."""
        return self.before[-1], self.after[-1]


def measure_shifts(
    trained: Mapping[str, Histogram], later: Mapping[str, npt.NDArray[np.floating[Any]]]
) -> tuple[Shift, ...]:
    """Compare what both have by name, the largest shift first; `later` has arrays of shape (n,)."""
    found = [
        shift(name, before, before.recount(later[name]))
        for name, before in trained.items()
        if name in later and before.total and len(later[name])
    ]
    return tuple(sorted(found, key=lambda one: (-one.psi, one.name)))


def shift(name: str, before: Histogram, after: Histogram) -> Shift:
    """Compare two histograms of the same bins: the sum of (b - a) ln(b / a) over bins' shares."""
    old, new = _shares(before), _shares(after)
    a, b = np.maximum(old, _LEAST_SHARE), np.maximum(new, _LEAST_SHARE)
    index = float(((b - a) * np.log(b / a)).sum())
    return Shift(name, index, before.edges, tuple(old.tolist()), tuple(new.tolist()))


def _shares(one: Histogram) -> FloatArray:
    counts = np.array([*one.counts, one.missing], np.float64)
    shares: FloatArray = counts / counts.sum()
    return shares

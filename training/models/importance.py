"""What a model goes by: gain of its splits, and SHAP contributions on a sample of points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from training.models.rows import DecisionRows

MAX_POINTS: Final = 2_000
_SEED: Final = 1

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FeatureImportance:
    """A model's f features.

    `gain` is the share of the training loss's decrease by splits on each, shape (f,); `values` and
    `contributions` are (n, f), the latter in log-odds (SHAP: Lundberg and others 2020, exact for
    trees).
    """

    names: tuple[str, ...]
    gain: FloatArray
    values: npt.NDArray[np.float32]
    contributions: FloatArray

    @property
    def mean_size(self) -> FloatArray:
        """Mean absolute contribution of each feature in log-odds, shape (f,)."""
        if not len(self.contributions):
            return np.zeros(len(self.names))
        size: FloatArray = np.abs(self.contributions).mean(axis=0)
        return size

    def strongest(self, n: int) -> list[int]:
        """Give the places of the n features with the largest mean contribution, largest first."""
        size = self.mean_size
        return sorted(range(len(size)), key=lambda place: (-size[place], place))[:n]


def measure_importance(text: str, names: tuple[str, ...], rows: DecisionRows) -> FeatureImportance:
    """Explain at most `MAX_POINTS` of the rows, chosen at random, by LightGBM's text of a model."""
    rows = sample_points(rows, MAX_POINTS, _SEED)
    booster = lgb.Booster(model_str=text)
    gain = booster.feature_importance(importance_type="gain").astype(np.float64)
    values = np.ascontiguousarray(rows.columns(names))
    # The last column is the base value.
    contributions = np.zeros((0, len(names)))
    if len(values):
        contributions = np.asarray(booster.predict(values, pred_contrib=True))[:, :-1]
    total = float(gain.sum())
    return FeatureImportance(names, gain / total if total else gain, values, contributions)


def sample_points(rows: DecisionRows, limit: int, seed: int) -> DecisionRows:
    """Keep at most `limit` rows, chosen at random by `seed`, in their order."""
    if len(rows) <= limit:
        return rows
    chosen = np.random.default_rng(seed).choice(len(rows), limit, replace=False)
    return rows.take(np.sort(chosen))

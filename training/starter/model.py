"""The starter's model of conversion: what shops have in common, at the level that the shop says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.scoring.lightgbm_model import LightGbmModel
from training.models.baseline import BASELINE_FEATURES, LogisticBaseline, fit_baseline
from training.models.calibration import intercept_for
from training.models.calibration_track import CalibrationTrack
from training.models.conversion import (
    ConversionParams,
    Growth,
    Split,
    find_growth,
    fit_conversion,
)
from training.models.rows import DecisionRows, join_rows
from training.models.weights import at_counts
from training.publishing.bundle import ConversionParts
from training.starter.features import PORTABLE_FEATURES

FloatArray = npt.NDArray[np.float64]

# Scores of other shops are too sure of themselves. Were every effect that the model learned off in
# this shop by an error of its own, as large as half the effect itself (standard deviations), the
# best slope would be 1 / (1 + 0.5 ** 2): regression to the mean. It is no figure of any real shop.
SLOPE: Final = 0.8
# Small and smooth: shops have the large effects in common, not the small ones.
PARAMS: Final = ConversionParams(num_leaves=15, max_trees=150, min_data_in_leaf=200)
# Standard deviations of what is not known of level, slope, and their changes by depth, before the
# shop's first day: how many events a visit has differs much between shops, so that depth may say
# anything. Recalibration on the shop's own days soon outweighs them.
_UNSURE: Final = (1.0, 0.5, 1.5, 0.5)


@dataclass(frozen=True)
class StarterModel:
    """Trees and baseline of pooled shops; `first` are the trees' raw scores of first events, (n,).

    `baseline_first` are the baseline's.
    """

    text: bytes
    growth: Growth
    first: FloatArray
    baseline: LogisticBaseline
    baseline_first: FloatArray
    rows: int
    buyers: int


def fit_starter(shops: Sequence[DecisionRows]) -> StarterModel:
    """Learn from several shops; each is left out once, to find how much carries over to another."""
    portable = [shop.only(PORTABLE_FEATURES) for shop in _numbered_apart(shops)]
    growth = find_growth(_left_out(portable), PARAMS)
    pooled = join_rows(portable)
    text = fit_conversion(pooled, growth, PARAMS)
    baseline, _ = fit_baseline(pooled)
    first = pooled.take(at_counts(pooled.events_seen, pooled.session, (1,)))
    trees = LightGbmModel(text, len(PORTABLE_FEATURES))
    raw = np.asarray(trees.raw_scores(first.features), np.float64)
    trees.close()
    return StarterModel(
        text=text,
        growth=growth,
        first=raw,
        baseline=baseline,
        baseline_first=baseline.raw_scores(first.columns(BASELINE_FEATURES)),
        rows=len(pooled),
        buyers=pooled.buyers,
    )


def conversion_parts(model: StarterModel, conversion_rate: float) -> ConversionParts:
    """Set the level: the mean probability of a visit's first event is `conversion_rate`, 0 to 1.

    No calibration error is stated: nobody has measured it in this shop.
    """
    return ConversionParts(
        text=model.text,
        feature_names=PORTABLE_FEATURES,
        calibration=_calibration(model.first, conversion_rate),
        calibration_error={},
        baseline=_at_level(model.baseline, model.baseline_first, conversion_rate),
    )


def _calibration(raw: FloatArray, rate: float) -> CalibrationTrack:
    intercept = intercept_for(SLOPE * raw, np.ones(len(raw)), rate)
    # Level is the log-odds at `center`, the mean score: there level and slope are independent.
    center = float(raw.mean())
    return CalibrationTrack(
        center=center,
        mean=(SLOPE * center + intercept, SLOPE, 0.0, 0.0),
        covariance=tuple(map(tuple, np.diag(np.square(_UNSURE)).tolist())),
    )


def _at_level(baseline: LogisticBaseline, raw: FloatArray, rate: float) -> LogisticBaseline:
    intercept = intercept_for(SLOPE * raw, np.ones(len(raw)), rate)
    return replace(
        baseline,
        coefficients=tuple(SLOPE * one for one in baseline.coefficients),
        intercept=SLOPE * baseline.intercept + intercept,
    )


def _left_out(shops: Sequence[DecisionRows]) -> list[Split]:
    return [(join_rows([one for one in shops if one is not shop]), shop) for shop in shops]


def _numbered_apart(shops: Sequence[DecisionRows]) -> list[DecisionRows]:
    """Give the shops' visits numbers that no two share."""
    found, used = [], 0
    for shop in shops:
        found.append(replace(shop, session=shop.session + used, visitor=shop.visitor + used))
        used += int(max(shop.session.max(), shop.visitor.max())) + 1
    return found

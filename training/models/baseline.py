"""The baseline that a model has to beat: logistic regression on raw counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from training.models.rows import DecisionRows
from training.models.weights import training_weight

FloatArray = npt.NDArray[np.float64]

BASELINE_FEATURES: Final = (
    "n_events",
    "duration_s",
    "n_page_views",
    "n_item_views",
    "n_list_views",
    "n_searches",
    "n_cart_adds",
    "n_cart_removes",
    "n_checkout_steps",
    "n_promo_clicks",
    "n_scrolls",
)


@dataclass(frozen=True, slots=True)
class BaselineParams:
    """Inverse strength of the L2 penalty, and the most steps of the solver."""

    c: float = 1.0
    max_iter: int = 500


@dataclass(frozen=True, slots=True)
class LogisticBaseline:
    """`log-odds = intercept + sum(coefficient * log1p(count))`, in numbers that JSON can hold."""

    features: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def raw_scores(self, counts: npt.NDArray[np.floating]) -> FloatArray:
        """Give the log-odds of n rows, shape (n, features) in the order of `features`."""
        raw: FloatArray = log_counts(counts) @ np.array(self.coefficients) + self.intercept
        return raw

    def probabilities(self, counts: npt.NDArray[np.floating]) -> FloatArray:
        """Give the probabilities of n rows."""
        raw = self.raw_scores(counts)
        odds = np.exp(-np.abs(raw))  # never overflows
        return np.where(raw >= 0, 1.0, odds) / (1.0 + odds)


@dataclass(frozen=True, slots=True)
class BaselineMetrics:
    """What it was fitted on, and the solver's steps."""

    n: int
    buyers: int
    steps: int


def fit_baseline(
    train: DecisionRows, params: BaselineParams = BaselineParams()
) -> tuple[LogisticBaseline, BaselineMetrics]:
    """Fit on `BASELINE_FEATURES`, weighted by events seen; the same rows give the same numbers.

    Raises `NotEnoughDataError` when only one outcome occurs.
    """
    train.require_both_outcomes("baseline")
    pipeline = make_pipeline(
        FunctionTransformer(log_counts),
        StandardScaler(),
        LogisticRegression(C=params.c, max_iter=params.max_iter),
    )
    weight = training_weight(train.events_seen)
    pipeline.fit(
        train.columns(BASELINE_FEATURES),
        train.label,
        standardscaler__sample_weight=weight,
        logisticregression__sample_weight=weight,
    )
    scaler, regression = pipeline[1], pipeline[2]
    # Standardising is folded into the coefficients.
    coefficients = regression.coef_[0] / scaler.scale_
    intercept = float(regression.intercept_[0] - coefficients @ scaler.mean_)
    model = LogisticBaseline(BASELINE_FEATURES, tuple(coefficients.tolist()), intercept)
    steps = int(regression.n_iter_[0])
    return model, BaselineMetrics(n=len(train), buyers=int(train.label.sum()), steps=steps)


def log_counts(counts: npt.NDArray[np.floating]) -> FloatArray:
    """Give log(1 + count) as float64; what wasn't measured counts as none."""
    return np.log1p(np.maximum(np.nan_to_num(counts.astype(np.float64), nan=0.0), 0.0))

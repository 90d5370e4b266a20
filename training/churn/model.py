"""The trees of the churn model: few and small, their number found by cross-fitting.

The same customers stand in many cuts, and the windows of neighbouring cuts overlap. So the folds
are of visitors: a customer's rows are all in one, and every row gets a score of trees that have
seen none of that customer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from micromoment.features.catalogue import CHURN_FEATURES
from micromoment.scoring.lightgbm_model import LightGbmModel
from training.churn.rows import ChurnRows
from training.models.lightgbm_params import METRIC, REPEATABLE

FloatArray = npt.NDArray[np.float64]

_HELD_OUT: Final = "held out"

# Of a year or two trees would learn the date by heart; the season is fitted apart, where there is
# one to be seen.
TREE_FEATURES: Final = tuple(name for name in CHURN_FEATURES if name != "customer_year_day")

# A longer absence never lowers the probability of churn, more orders or visits never raise it.
_RISES: Final = ("customer_recency_days", "customer_idle_days", "customer_gap_ratio")
_FALLS: Final = (
    "customer_orders",
    "customer_order_days",
    "customer_orders_365d",
    "customer_sessions",
    "customer_sessions_30d",
    "customer_active_days",
    "customer_active_days_7d",
    "customer_active_days_28d",
    "customer_events_28d",
)


@dataclass(frozen=True, slots=True)
class ChurnParams:
    """LightGBM's parameters; few small trees, because every score of a visit asks them.

    Few also because customers of later weeks are others: trees beyond 60 or so still improve on
    held-out visitors of the same cuts, but no longer on later ones.
    """

    learning_rate: float = 0.05
    num_leaves: int = 8
    max_trees: int = 60
    min_data_in_leaf: int = 500
    feature_fraction: float = 0.5
    lambda_l2: float = 10.0
    folds: int = 5
    seed: int = 7
    num_threads: int = 1  # for so few rows threads cost more than they give

    def to_lightgbm(self, features: tuple[str, ...]) -> dict[str, Any]:
        """Give the parameters that make two runs give one model, bit by bit."""
        return REPEATABLE | {
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "lambda_l2": self.lambda_l2,
            "seed": self.seed,
            "num_threads": self.num_threads,
            "monotone_constraints": [_direction(name) for name in features],
        }


@dataclass(frozen=True, slots=True)
class CrossFit:
    """Scores of n rows by trees that haven't seen the visitor, and how many trees were best.

    `history` holds the mean held-out log loss after each tree, in nats.
    """

    raw: FloatArray
    trees: int
    history: tuple[float, ...]


def cross_fit(rows: ChurnRows, params: ChurnParams, start: FloatArray | None = None) -> CrossFit:
    """Choose the number of trees by held-out visitors and score every row without its visitor.

    `start`, shape (n,), are log-odds that the trees add to; the scores are the trees' alone.
    """
    # The hash's high bits, as everywhere where visitors are parted.
    fold = (rows.visitor >> np.uint64(32)) % np.uint64(params.folds)
    boosters = []
    losses = np.zeros(params.max_trees)
    for number in range(params.folds):
        held = fold == number
        history: dict[str, dict[str, list[float]]] = {}
        dataset = _dataset(rows.take(~held), None if start is None else start[~held])
        out = rows.take(held)
        boosters.append(
            lgb.train(
                params.to_lightgbm(rows.feature_names),
                dataset,
                params.max_trees,
                valid_sets=[
                    dataset.create_valid(
                        out.features,
                        out.label.astype(np.float32),
                        init_score=None if start is None else start[held],
                    )
                ],
                valid_names=[_HELD_OUT],
                callbacks=[lgb.record_evaluation(history)],
            )
        )
        losses += np.array(history[_HELD_OUT][METRIC]) * held.mean()
    trees = int(losses.argmin()) + 1
    raw = np.empty(len(rows))
    for number, booster in enumerate(boosters):
        held = fold == number
        raw[held] = booster.predict(rows.features[held], num_iteration=trees, raw_score=True)
    return CrossFit(raw, trees, tuple(losses.tolist()))


def fit_trees(
    rows: ChurnRows, trees: int, params: ChurnParams, start: FloatArray | None = None
) -> bytes:
    """Fit so many trees to all rows and give LightGBM's text; `start` as in `cross_fit`."""
    booster = lgb.train(params.to_lightgbm(rows.feature_names), _dataset(rows, start), trees)
    text: str = booster.model_to_string()
    return text.encode()


def raw_scores(text: bytes, rows: ChurnRows) -> FloatArray:
    """Score rows by a model's text, in log-odds, as serving does."""
    model = LightGbmModel(text, len(rows.feature_names))
    raw = model.raw_scores(rows.features)
    model.close()
    return raw


def _direction(feature: str) -> int:
    return 1 if feature in _RISES else -1 if feature in _FALLS else 0


def _dataset(rows: ChurnRows, start: FloatArray | None) -> lgb.Dataset:
    return lgb.Dataset(
        rows.features,
        label=rows.label.astype(np.float32),
        feature_name=list(rows.feature_names),
        init_score=start,
    )

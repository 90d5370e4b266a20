"""The conversion model: gradient-boosted trees, LightGBM, small enough to serve per event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np

from training.models.lightgbm_params import METRIC, REPEATABLE
from training.models.rows import DecisionRows
from training.models.weights import prefix_weight, training_weight

STOPPING_KS: Final = (1, 2, 3, 5, 10, 20, 40)
_VALID: Final = "valid"


@dataclass(frozen=True, slots=True)
class ConversionParams:
    """LightGBM's parameters, and when to stop.

    `max_trees` and `num_leaves` bound what one score costs in serving. With `refit`, training ends
    by fitting the number of trees found on the validation rows to all rows again.
    """

    learning_rate: float = 0.05
    num_leaves: int = 31
    max_trees: int = 300
    min_data_in_leaf: int = 100
    feature_fraction: float = 0.7
    lambda_l2: float = 5.0
    seed: int = 7
    num_threads: int = 2
    patience: int = 40  # trees without a better validation loss
    refit: bool = True

    def to_lightgbm(self) -> dict[str, Any]:
        """Give the parameters that make two runs give one model, bit by bit."""
        return REPEATABLE | {
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "lambda_l2": self.lambda_l2,
            "seed": self.seed,
            "num_threads": self.num_threads,
        }


@dataclass(frozen=True, slots=True)
class FittedConversion:
    """The model as LightGBM's text, with how it came about.

    `history` holds the validation loss after each tree until training stopped: the mean over
    `STOPPING_KS` of the log loss at k events seen, in nats. `best_iteration` is its minimum's
    place, from 1, and the model's number of trees.
    """

    text: bytes
    best_iteration: int
    feature_names: tuple[str, ...]
    history: tuple[float, ...]


def fit_conversion(
    train: DecisionRows, valid: DecisionRows, params: ConversionParams = ConversionParams()
) -> FittedConversion:
    """Fit on `train`, stop early on `valid`, which should be later; never on shared visits.

    Raises `NotEnoughDataError` when either holds one outcome only, and `ValueError` when their
    features differ.
    """
    train.require_both_outcomes("conversion, training rows")
    valid.require_both_outcomes("conversion, validation rows")
    if train.feature_names != valid.feature_names:
        raise ValueError("training and validation rows have different features")
    dataset = _dataset(train)
    history: dict[str, dict[str, list[float]]] = {}
    booster = lgb.train(
        params.to_lightgbm(),
        dataset,
        params.max_trees,
        valid_sets=[_validation(valid, dataset)],
        valid_names=[_VALID],
        callbacks=[
            lgb.early_stopping(params.patience, verbose=False),
            lgb.record_evaluation(history),
        ],
    )
    best = booster.best_iteration
    return FittedConversion(
        text=booster.model_to_string(num_iteration=best).encode(),
        best_iteration=best,
        feature_names=train.feature_names,
        history=tuple(map(float, history[_VALID][METRIC])),
    )


def refit(rows: DecisionRows, trees: int, params: ConversionParams = ConversionParams()) -> bytes:
    """Fit so many trees to all rows and give LightGBM's text.

    A calibrator must have been fitted before, on scores of the model that hadn't seen its rows.
    Raises `NotEnoughDataError` when only one outcome occurs.
    """
    rows.require_both_outcomes("conversion, all rows")
    text: str = lgb.train(params.to_lightgbm(), _dataset(rows), trees).model_to_string()
    return text.encode()


def _dataset(rows: DecisionRows) -> lgb.Dataset:
    return lgb.Dataset(
        rows.features,
        label=rows.label.astype(np.float32),
        weight=training_weight(rows.events_seen),
        feature_name=list(rows.feature_names),
    )


def _validation(valid: DecisionRows, dataset: lgb.Dataset) -> lgb.Dataset:
    # So weighted, LightGBM's own log loss is the mean over k of the log loss at k.
    weight = prefix_weight(valid.events_seen, valid.session, STOPPING_KS)
    judged = valid.take(weight > 0)
    label = judged.label.astype(np.float32)
    return dataset.create_valid(judged.features, label=label, weight=weight[weight > 0])

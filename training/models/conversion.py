"""The conversion model: gradient-boosted trees, LightGBM, small enough to serve per event.

How much to learn is found on later days than those learned from, several times over: boosters of
all splits grow side by side and stop where their mean loss is least. Then the same amount is
learned in smaller steps, as many as serving allows: the mean of many small trees on changing halves
of rows and features says the same as a few large ones, with less of the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from micromoment.scoring.lightgbm_model import LightGbmModel
from training.cluster import DaskCluster
from training.models.distributed import fit_together, losses_by_tree
from training.models.lightgbm_params import REPEATABLE
from training.models.rows import DecisionRows
from training.models.weights import prefix_weight, training_weight

STOPPING_KS: Final = (1, 2, 3, 5, 10, 20, 40)
_FINER_STEPS: Final = 5  # at most so many small trees for one large one

FloatArray = npt.NDArray[np.float64]
Split = tuple[DecisionRows, DecisionRows]  # rows to fit on, later rows to judge by


@dataclass(frozen=True, slots=True)
class ConversionParams:
    """LightGBM's parameters, and when to stop.

    `max_trees` and `num_leaves` bound what one score costs in serving. `learning_rate` is that of
    the search for the number of trees; the model itself learns in smaller steps where it can.
    `bagging_fraction` is the share of the rows that each tree sees.
    """

    learning_rate: float = 0.05
    num_leaves: int = 31
    max_trees: int = 300
    min_data_in_leaf: int = 100
    feature_fraction: float = 0.3
    bagging_fraction: float = 0.5
    lambda_l2: float = 5.0
    max_bin: int = 63
    seed: int = 7
    num_threads: int = 2
    patience: int = 40  # trees without a better validation loss

    def to_lightgbm(self, learning_rate: float) -> dict[str, Any]:
        """Give the parameters that make two runs give one model, bit by bit."""
        return REPEATABLE | {
            "learning_rate": learning_rate,
            "num_leaves": self.num_leaves,
            "min_data_in_leaf": self.min_data_in_leaf,
            "feature_fraction": self.feature_fraction,
            "bagging_fraction": self.bagging_fraction,
            "bagging_freq": 1,
            "lambda_l2": self.lambda_l2,
            "max_bin": self.max_bin,
            "seed": self.seed,
            "num_threads": self.num_threads,
        }


@dataclass(frozen=True, slots=True)
class Growth:
    """How much to learn: the number of trees and the size of their steps.

    `history` holds the validation loss after each tree of the search: the mean over the splits, and
    over `STOPPING_KS`, of the log loss at k events seen, in nats; `stopped_at` is the place of its
    minimum, from 1.
    """

    trees: int
    learning_rate: float
    stopped_at: int
    history: tuple[float, ...]


def find_growth(
    splits: Sequence[Split],
    params: ConversionParams = ConversionParams(),
    cluster: DaskCluster | None = None,
    watch: Callable[[int, float], None] = lambda _trees, _loss: None,
) -> Growth:
    """Find when to stop, on the later rows of all splits together; never on shared visits.

    `watch` is told the number of trees and the least loss so far; it may end the search by raising.
    Raises `NotEnoughDataError` when a side of a split holds one outcome only, and `ValueError` when
    features differ.
    """
    grow = _side_by_side(splits, params) if cluster is None else _on(cluster, splits, params)
    history: list[float] = []
    best = 0
    for loss in grow:
        history.append(loss)
        best = int(np.argmin(history))
        watch(len(history), history[best])
        if len(history) >= params.max_trees or len(history) - best > params.patience:
            break
    stopped_at = best + 1
    trees = min(params.max_trees, stopped_at * _FINER_STEPS)
    return Growth(trees, params.learning_rate * stopped_at / trees, stopped_at, tuple(history))


def _side_by_side(splits: Sequence[Split], params: ConversionParams) -> Iterator[float]:
    """Give the mean loss after each tree of all splits' boosters."""
    boosters = [_searching(train, valid, params) for train, valid in splits]
    finished = [False]
    while not all(finished):
        # Every booster must grow: `any` would stop at the first that can't.
        finished = [booster.update() for booster in boosters]
        yield float(np.mean([booster.eval_valid()[0][2] for booster in boosters]))


def _on(cluster: DaskCluster, splits: Sequence[Split], params: ConversionParams) -> Iterator[float]:
    """Do the same with models of `max_trees` that a cluster has grown before they are judged."""
    losses = []
    for train, valid in splits:
        _check_split(train, valid)
        lightgbm = params.to_lightgbm(params.learning_rate)
        text = fit_together(cluster, train, lightgbm, params.max_trees)
        losses.append(losses_by_tree(text, *_judged(valid), params.num_threads))
    for tree in range(max(map(len, losses))):
        # A model that could grow no further stays as it is.
        yield float(np.mean([own[min(tree, len(own) - 1)] for own in losses]))


def fit_conversion(
    rows: DecisionRows,
    growth: Growth,
    params: ConversionParams = ConversionParams(),
    cluster: DaskCluster | None = None,
) -> bytes:
    """Fit the trees to all rows, here or on a cluster, and give LightGBM's text.

    Raises `NotEnoughDataError` when only one outcome occurs.
    """
    rows.require_both_outcomes("conversion, rows to fit on")
    lightgbm = params.to_lightgbm(growth.learning_rate)
    if cluster is not None:
        return fit_together(cluster, rows, lightgbm, growth.trees)
    text: str = lgb.train(lightgbm, _dataset(rows), growth.trees).model_to_string()
    return text.encode()


def later_scores(
    splits: Sequence[Split],
    growth: Growth,
    params: ConversionParams = ConversionParams(),
    cluster: DaskCluster | None = None,
) -> list[FloatArray]:
    """Give, for each split, the raw scores of its later rows by a model of its earlier ones."""
    scores = []
    for train, valid in splits:
        text = fit_conversion(train, growth, params, cluster)
        model = LightGbmModel(text, len(train.feature_names))
        scores.append(model.raw_scores(valid.features))
        model.close()
    return scores


def _searching(train: DecisionRows, valid: DecisionRows, params: ConversionParams) -> lgb.Booster:
    _check_split(train, valid)
    dataset = _dataset(train)
    booster = lgb.Booster(params.to_lightgbm(params.learning_rate), dataset)
    booster.add_valid(_validation(valid, dataset), "valid")
    return booster


def _dataset(rows: DecisionRows) -> lgb.Dataset:
    return lgb.Dataset(
        rows.features,
        label=rows.label.astype(np.float32),
        weight=training_weight(rows.events_seen),
        feature_name=list(rows.feature_names),
    )


def _check_split(train: DecisionRows, valid: DecisionRows) -> None:
    train.require_both_outcomes("conversion, training rows")
    valid.require_both_outcomes("conversion, validation rows")
    if train.feature_names != valid.feature_names:
        raise ValueError("training and validation rows have different features")


def _validation(valid: DecisionRows, dataset: lgb.Dataset) -> lgb.Dataset:
    judged, weight = _judged(valid)
    label = judged.label.astype(np.float32)
    return dataset.create_valid(judged.features, label=label, weight=weight)


def _judged(valid: DecisionRows) -> tuple[DecisionRows, FloatArray]:
    # So weighted, LightGBM's own log loss is the mean over k of the log loss at k.
    weight = prefix_weight(valid.events_seen, valid.session, STOPPING_KS)
    return valid.take(weight > 0), weight[weight > 0]

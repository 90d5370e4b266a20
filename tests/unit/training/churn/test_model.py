"""The churn model, its baselines and its judgement, on customers whose churn is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micromoment.features.catalogue import CHURN_FEATURES
from micromoment.scoring.calibration import PlattCalibrator
from training.churn.baselines import baselines_from_dict, fit_baselines
from training.churn.judging import MODEL, judge
from training.churn.model import ChurnParams, cross_fit, fit_trees, raw_scores
from training.churn.rows import ChurnRows
from training.churn.target import Target

N = 9_000
PARAMS = ChurnParams(min_data_in_leaf=50, learning_rate=0.15)
TARGET = Target("purchase", 20)


def truth(recency: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Give the true probability of churn."""
    log_odds = 0.12 * recency - 0.9 * np.log(orders) - 0.4
    chance: np.ndarray = 1 / (1 + np.exp(-log_odds))
    return chance


def customers(seed: int, visitors: int = 3_000, cuts: int = 3) -> tuple[ChurnRows, np.ndarray]:
    """Draw customers at cuts, and the true probabilities."""
    random = np.random.default_rng(seed)
    n = visitors * cuts
    features = np.full((n, len(CHURN_FEATURES)), np.nan, np.float32)
    place = {name: number for number, name in enumerate(CHURN_FEATURES)}
    recency = random.exponential(20, n)
    orders = random.geometric(0.3, n).astype(float)
    features[:, place["customer_recency_days"]] = recency
    features[:, place["customer_order_age_days"]] = recency + 8 * (orders - 1)
    features[:, place["customer_orders"]] = orders
    features[:, place["customer_order_days"]] = orders
    features[:, place["customer_monetary_mean"]] = random.exponential(50, n)
    chance = truth(recency, orders)
    codes = random.integers(0, 2**63, visitors).astype(np.uint64)
    label = random.random(n) < chance
    rows = ChurnRows(
        features=features,
        feature_names=CHURN_FEATURES,
        label=label,
        visitor=np.tile(codes, cuts),
        cut=np.repeat(np.arange(cuts) + 737_000, visitors),
        orders=np.where(label, 0.0, 1.0),
        value=np.where(label, 0.0, 50.0),
    )
    return rows, chance


@pytest.fixture(scope="module")
def learnt() -> tuple[ChurnRows, bytes, int]:
    """Training rows, the model's text and its number of trees."""
    rows, _ = customers(1)
    trees = cross_fit(rows, PARAMS).trees
    return rows, fit_trees(rows, trees, PARAMS), trees


def test_the_model_comes_near_the_truth(learnt: tuple[ChurnRows, bytes, int]) -> None:
    """On other customers it ranks nearly as well as the true probabilities, and is calibrated."""
    _, text, _ = learnt
    rows, chance = customers(2)
    scores = PlattCalibrator(1.0, 0.0).probabilities(raw_scores(text, rows).tolist())
    found = judge(rows, {MODEL: np.array(scores), "logistic": chance}, TARGET, bootstrap=0, seed=1)
    model, true = found.scores
    assert model.pooled.roc_auc > true.pooled.roc_auc - 0.012
    assert model.pooled.ece < 0.03
    assert 0.9 < model.pooled.calibration_slope < 1.1


def test_two_fits_give_one_model(learnt: tuple[ChurnRows, bytes, int]) -> None:
    """Bit by bit."""
    rows, text, trees = learnt
    assert cross_fit(rows, PARAMS).trees == trees
    assert fit_trees(rows, trees, PARAMS) == text


def test_absence_never_lowers_churn(learnt: tuple[ChurnRows, bytes, int]) -> None:
    """With all else equal, the score rises with recency and falls with orders."""
    _, text, _ = learnt
    rows, _ = customers(3, visitors=200, cuts=1)
    for name, sign in (("customer_recency_days", 1), ("customer_order_days", -1)):
        place = CHURN_FEATURES.index(name)
        before = raw_scores(text, rows)
        rows.features[:, place] += 5
        assert (sign * (raw_scores(text, rows) - before) >= 0).all()
        rows.features[:, place] -= 5


def test_held_out_scores_have_not_seen_the_visitor() -> None:
    """Labels that only visitors' identity explains can't be scored out of fold."""
    rows, _ = customers(4, visitors=600, cuts=4)
    random = np.random.default_rng(5)
    mark = random.random(600).astype(np.float32)
    rows.features[:, CHURN_FEATURES.index("customer_order_value")] = np.tile(mark, 4)
    own = np.tile(random.random(600) < 0.5, 4)
    rows = replace(rows, label=own)
    found = judge(
        rows,
        {MODEL: 1 / (1 + np.exp(-cross_fit(rows, PARAMS).raw))},
        TARGET,
        bootstrap=0,
        seed=1,
    )
    assert abs(found.scores[0].pooled.roc_auc - 0.5) < 0.08


def test_baselines_survive_json() -> None:
    """What was written gives the same probabilities, BG/NBD's among them."""
    rows, _ = customers(6, visitors=500, cuts=1)
    baselines = fit_baselines(rows, "purchase", rows)
    again = baselines_from_dict(baselines.to_dict())
    before, after = baselines.probabilities(rows, 20), again.probabilities(rows, 20)
    assert set(before) == {"recency", "logistic", "bg_nbd"}
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert fit_baselines(rows, "activity", None).bg_nbd is None


def test_judgement_is_paired_by_customer() -> None:
    """Against itself nothing differs on any draw; against noise the interval is above zero."""
    rows, chance = customers(7, visitors=400)
    noise = np.random.default_rng(8).random(len(rows))
    scores = {MODEL: chance, "recency": chance, "logistic": noise}
    found = judge(rows, scores, TARGET, bootstrap=60, seed=1)
    model, same, other = found.scores
    assert (same.roc_auc_difference.low, same.roc_auc_difference.high) == (0, 0)
    assert other.roc_auc_difference.low > 0.1
    assert other.roc_auc_by_cut_difference.low > 0.1
    assert other.log_loss_difference.high < 0
    assert model.roc_auc.low < model.pooled.roc_auc < model.roc_auc.high
    by_cut = [cut.metrics[MODEL].roc_auc for cut in found.cuts]
    assert model.roc_auc_by_cut == pytest.approx(np.mean(by_cut))
    assert sum(cut.n for cut in found.cuts) == found.n == len(rows)
    assert judge(rows, scores, TARGET, bootstrap=60, seed=1) == found

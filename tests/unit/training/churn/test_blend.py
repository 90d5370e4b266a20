"""Trees and BG/NBD together: how much each counts, and the level of what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micromoment.features.catalogue import CHURN_FEATURES
from micromoment.scoring.manifest import WEEKS, OrdersRecord, OrderValueRecord
from micromoment.scoring.orders import OrderModel
from training.churn.blend import FittedModel, fit_alone, fit_blend
from training.churn.model import TREE_FEATURES, ChurnParams, raw_scores
from training.churn.orders import EQUAL, order_columns
from training.churn.rows import ChurnRows

HORIZON = 20
PARAMS = ChurnParams(min_data_in_leaf=50, learning_rate=0.15, max_trees=30)
RECORD = OrdersRecord(
    r=0.8, alpha=20, a=0.3, b=3, season=(1.0,) * WEEKS, share=EQUAL, typical=0.1, repeats=1.0,
    value=OrderValueRecord(mean=40, weight=1),
)  # fmt: skip
MODEL = OrderModel(RECORD, HORIZON)


def customers(
    seed: int, n: int, longest: float = 60, year_day: float | np.ndarray = 100.0
) -> ChurnRows:
    """Draw customers, at most so many days since the first order, who follow the model of orders.

    A third of the visitors is in each of three cuts.
    """
    random = np.random.default_rng(seed)
    features = np.full((n, len(CHURN_FEATURES)), np.nan, np.float32)
    orders = random.geometric(0.4, n).astype(float)
    age = random.uniform(1, longest, n)
    columns = {
        "customer_orders": orders,
        "customer_order_days": orders,
        "customer_order_age_days": age,
        "customer_recency_days": np.where(orders > 1, age * random.random(n), age),
        "customer_monetary_mean": random.gamma(3, 10, n),
        "customer_year_day": np.full(n, year_day),
    }
    for name, values in columns.items():
        features[:, CHURN_FEATURES.index(name)] = values
    nothing = np.zeros(n)
    rows = ChurnRows(
        features,
        CHURN_FEATURES,
        nothing > 0,
        random.integers(0, 2**63, n).astype(np.uint64),
        737_000 + np.arange(n) % 3,
        nothing,
        nothing,
    )
    label = random.random(n) < sure(order_columns(MODEL, rows).flat)
    return replace(rows, label=label, orders=np.where(label, 0.0, 1.5))


def sure(log_odds: np.ndarray) -> np.ndarray:
    """Give the probabilities."""
    chance: np.ndarray = 1 / (1 + np.exp(-log_odds))
    return chance


def probabilities(fitted: FittedModel, rows: ChurnRows) -> np.ndarray:
    """Score rows as serving does."""
    raw = raw_scores(fitted.parts.text, rows.only(TREE_FEATURES))
    if fitted.orders is not None:
        columns = order_columns(OrderModel(fitted.orders, HORIZON), rows)
        raw = columns.blend(raw, fitted.orders.share)
    return np.array(fitted.parts.calibrator.probabilities(raw.tolist()))


@pytest.fixture(scope="module")
def taught() -> ChurnRows:
    """Customers of 60 days at most."""
    return customers(1, 12_000)


@pytest.fixture(scope="module")
def blended(taught: ChurnRows) -> FittedModel:
    """The blend, with customers of 400 days today."""
    return fit_blend(taught, customers(2, 4_000, longest=400), RECORD, HORIZON, PARAMS)


def test_both_count_alike(blended: FittedModel) -> None:
    """The share is a half, the scale of repeats fits the orders that came."""
    assert blended.orders is not None
    assert blended.orders.share == EQUAL
    assert blended.orders.repeats > 0
    assert blended.parts.feature_names == TREE_FEATURES
    assert "customer_year_day" not in TREE_FEATURES


def test_older_customers_than_any_cut_had_get_the_right_level(
    taught: ChurnRows, blended: FittedModel
) -> None:
    """Trees alone say too little of their churn: they have seen nobody so long away."""
    older = customers(3, 6_000, longest=400)
    alone = probabilities(fit_alone(taught, PARAMS), older).mean()
    both = probabilities(blended, older).mean()
    true = older.label.mean()
    assert both == pytest.approx(true, abs=0.02)
    assert abs(both - true) < abs(alone - true)


def test_where_bg_nbd_is_wrong_trees_count_alone(taught: ChurnRows) -> None:
    """Whoever ordered most leaves: no model of orders says so."""
    orders = taught.column("customer_orders")
    label = np.random.default_rng(5).random(len(taught)) < np.where(orders > 2, 0.95, 0.05)
    free = replace(
        taught, features=taught.features.copy(), label=label, orders=np.where(label, 0.0, 1.0)
    )
    # Trees that may not learn it from the orders can from another feature.
    free.features[:, CHURN_FEATURES.index("customer_refund_rate")] = orders > 2
    fitted = fit_blend(free, taught, RECORD, HORIZON, PARAMS)
    assert fitted.orders is not None
    assert fitted.orders.share == 0


def test_a_season_is_not_learnt_twice() -> None:
    """Trees that can tell the busy time leave to the season what is the season's."""
    season = tuple(2.5 if week >= 40 else 1.0 for week in range(WEEKS))
    record = RECORD.model_copy(update={"season": season})
    busy = np.arange(9_000) % 2 == 0
    rows = customers(6, len(busy), year_day=np.where(busy, 300.0, 100.0))
    columns = order_columns(OrderModel(record, HORIZON), rows)
    chance = sure(columns.flat + columns.season)
    rows = replace(rows, label=np.random.default_rng(7).random(len(rows)) < chance)
    rows.features[:, CHURN_FEATURES.index("customer_tenure_days")] = busy
    found = probabilities(fit_blend(rows, rows, record, HORIZON, PARAMS), rows)
    gap = chance[~busy].mean() - chance[busy].mean()
    assert gap > 0.1
    assert found[~busy].mean() - found[busy].mean() == pytest.approx(gap, abs=0.03)


def test_two_fits_give_one_model(taught: ChurnRows, blended: FittedModel) -> None:
    """Bit by bit, numbers included."""
    again = fit_blend(taught, customers(2, 4_000, longest=400), RECORD, HORIZON, PARAMS)
    assert again.parts == blended.parts
    assert again.orders == blended.orders

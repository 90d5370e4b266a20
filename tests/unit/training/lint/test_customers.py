"""Customers at cuts: loyal ones are no leak, what knows the outcome is."""

from __future__ import annotations

import numpy as np

from training.churn.rows import ChurnRows
from training.lint.customers import lint_churn_auc, lint_customers


def customers(*, leak: bool) -> ChurnRows:
    """Customers of whom those with many orders all come again."""
    random = np.random.default_rng(4)
    orders = random.poisson(3, 4_000)
    churned = random.random(4_000) < np.where(orders > 5, 0.0, 0.7)
    noise = random.normal(size=4_000)
    last = churned + 0.1 * noise if leak else noise
    return ChurnRows(
        features=np.stack([orders, last], axis=1).astype(np.float32),
        feature_names=("orders", "days_away"),
        label=churned,
        visitor=np.arange(4_000, dtype=np.uint64),
        cut=np.full(4_000, 738_000),
        orders=np.zeros(4_000),
        value=np.zeros(4_000),
    )


def test_loyal_customers_are_no_leak() -> None:
    """Values with which everybody comes again are honest."""
    assert lint_customers(customers(leak=False)).findings == ()


def test_a_feature_from_after_the_cut_is_found() -> None:
    """It alone tells who churns."""
    found = lint_customers(customers(leak=True)).findings
    assert [(one.check, one.subject) for one in found] == [("single-feature-auc", "days_away")]


def test_a_churn_model_that_is_too_good_is_an_error() -> None:
    """The limit is that of visits."""
    assert lint_churn_auc(0.81, 1_000, 500) == []
    assert [one.severity for one in lint_churn_auc(0.97, 1_000, 500)] == ["error"]

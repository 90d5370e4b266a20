"""Judging what was expected to come, and one-time buyers by themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from micromoment.features.catalogue import CHURN_FEATURES
from tests.unit.training.churn.test_model import customers
from training.churn.coming import Coming, judge_coming, naive_orders
from training.churn.groups import ONE_TIME, RETURNING, judge_groups
from training.churn.judging import MODEL, judge
from training.churn.rows import ChurnRows
from training.churn.target import Target


@pytest.fixture
def rows() -> ChurnRows:
    """A hundred customers, of whom number i orders i % 10 times, at 5 each."""
    made, _ = customers(1, visitors=100, cuts=1)
    orders = (np.arange(100) % 10).astype(np.float64)
    return replace(made, orders=orders, value=orders * np.float64(5), label=orders == 0)


def test_tenths_go_from_the_least_expected_to_the_most(rows: ChurnRows) -> None:
    """Each has a tenth of the customers, with what was expected of them and what came."""
    orders, value = judge_coming(rows, Coming(rows.orders + 1, rows.value), 20)
    assert [tenth.n for tenth in orders.tenths] == [10] * 10
    assert [tenth.expected for tenth in orders.tenths] == list(range(1, 11))
    assert [tenth.observed for tenth in orders.tenths] == list(range(10))
    assert (orders.name, orders.mae, orders.observed) == ("orders", 1, 4.5)
    assert (value.name, value.mae, value.expected) == ("value", 0, 22.5)
    assert len(judge_coming(rows, Coming(rows.orders, None), 20)) == 1


def test_the_naive_forecast_carries_the_last_year_on(rows: ChurnRows) -> None:
    """Of who is younger, the time since the first order, but a horizon at least."""
    columns = {"customer_orders_365d": (10, 3, 1), "customer_order_age_days": (900, 60, 2)}
    for name, values in columns.items():
        rows.features[:3, CHURN_FEATURES.index(name)] = values
    assert naive_orders(rows, 20)[:3] == pytest.approx([10 * 20 / 365, 3 * 20 / 60, 1])


def test_one_time_buyers_are_judged_apart(rows: ChurnRows) -> None:
    """Groups part the rows by order days; churn of activity has none."""
    once = rows.column("customer_order_days") == 1
    score = np.full(len(rows), 0.1)
    one, more = judge_groups(rows, {MODEL: score})
    assert (one.name, more.name) == (ONE_TIME, RETURNING)
    assert (one.n, more.n) == (once.sum(), (~once).sum())
    assert one.churned == rows.label[once].sum()
    observed = rows.label[once].mean()
    assert one.metrics[MODEL].predicted_over_observed == pytest.approx(0.1 / observed)
    activity = judge(rows, {MODEL: score}, Target("activity", 7), bootstrap=0, seed=1)
    assert activity.groups == ()
    assert activity.coming == ()

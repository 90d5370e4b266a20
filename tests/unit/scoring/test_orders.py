"""Orders to come: serving's arithmetic against SciPy's, the authors' numbers, and by hand."""

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import hyp2f1

from micromoment.scoring.manifest import WEEKS, OrdersRecord, OrderValueRecord
from micromoment.scoring.orders import (
    OrderHistory,
    OrderModel,
    alive,
    any_order,
    expected_orders,
    order_history,
    order_value,
)
from training.churn.bg_nbd import BgNbd

# Fader, Hardie and Lee 2005, table 2: CDNOW, 2,357 customers, weeks.
CDNOW = OrdersRecord(
    r=0.243, alpha=4.414, a=0.793, b=2.426, season=(1.0,) * WEEKS, share=0.5, typical=0.2,
    repeats=1.0,
    value=OrderValueRecord(mean=35.2, weight=0.44),
)  # fmt: skip
MODEL = OrderModel(CDNOW, horizon_days=39)
HISTORIES = st.tuples(st.integers(0, 400), st.floats(0, 1), st.floats(0.01, 900)).map(
    lambda one: OrderHistory(float(one[0]), one[1] * one[2] if one[0] else 0.0, one[2])
)
PARAMETERS = st.tuples(*[st.floats(0.05, 8)] * 4)


def equation_10(fitted: BgNbd, of: OrderHistory, days: float) -> float:
    """Give the expected orders of a customer who is alive, as the authors write them."""
    r, alpha, a, b = astuple(fitted)
    x, age = of.repeats, of.age
    gauss = hyp2f1(r + x, b + x, a + b + x - 1, days / (alpha + age + days))
    shrink = ((alpha + age) / (alpha + age + days)) ** (r + x)
    return float((a + b + x - 1) / (a - 1) * (1 - shrink * gauss))


def test_expected_orders_are_the_authors() -> None:
    """Their note on the model's spreadsheet expects 1.226 orders of customer 1 in 39 weeks."""
    of = OrderHistory(2, 30.43, 38.86)
    assert expected_orders(CDNOW, of, 39) == pytest.approx(1.226, abs=5e-4)


@given(PARAMETERS, HISTORIES, st.floats(0.5, 200))
def test_it_is_what_training_fits(
    parameters: tuple[float, ...], of: OrderHistory, days: float
) -> None:
    """Probabilities and expectation are those of the arrays, whose function is SciPy's."""
    r, alpha, a, b = parameters
    record = CDNOW.model_copy(update={"r": r, "alpha": alpha, "a": a, "b": b})
    arrays = [np.array([value]) for value in astuple(of)]
    fitted = BgNbd(r, alpha, a, b)
    expected = expected_orders(record, of, days)
    assert alive(record, of) == pytest.approx(fitted.alive(*arrays)[0], rel=1e-9)
    some = any_order(record, of, days)
    assert some == pytest.approx(1 - fitted.no_order_within(days, *arrays)[0], abs=1e-9)
    assert expected >= some * (1 - 1e-6)
    if abs(a - 1) > 0.01 and of.repeats < 40:  # the authors' form loses digits elsewhere
        theirs = equation_10(fitted, of, days) * fitted.alive(*arrays)[0]
        assert expected == pytest.approx(theirs, rel=1e-6, abs=1e-9)


def test_the_expectation_has_no_hole_at_one() -> None:
    """At a = 1, and for one order at a + b = 1, it lies between its neighbours."""
    for b, of, middle in (
        (2.426, OrderHistory(3, 20, 30), 1.0),
        (0.4, OrderHistory(0, 0, 30), 0.6),
    ):
        low, at, high = (
            expected_orders(CDNOW.model_copy(update={"a": middle + by, "b": b}), of, 39)
            for by in (0.001, 0.0, -0.001)
        )
        assert low < at < high


def test_many_orders_and_a_long_absence_are_no_overflow() -> None:
    """Whoever ordered daily and has long stopped is gone: no order, and no error."""
    gone = OrderHistory(400, 400, 4_000)
    assert alive(CDNOW, gone) == pytest.approx(0, abs=1e-12)
    assert MODEL.expected(1.0, gone, 1.0, orders=401, mean=9).orders == 0
    assert np.isfinite(MODEL.log_odds(gone))


def test_who_ordered_once_is_alive_and_yet_may_not_order() -> None:
    """P(alive) is 1 for them; the probability of an order is not, and falls as they wait."""
    waits = [order_history(1, days, days) for days in (1, 50, 500)]
    assert [alive(CDNOW, of) for of in waits] == [1, 1, 1]
    chances = [any_order(CDNOW, of, 39) for of in waits]
    assert chances == sorted(chances, reverse=True)
    assert chances[1] == pytest.approx(1 - ((4.414 + 50) / (4.414 + 50 + 39)) ** 0.243)
    assert MODEL.log_odds(waits[2]) > MODEL.log_odds(waits[0])


def test_a_history_is_of_days_after_the_first() -> None:
    """One order day has none; a last order before the first, as refunds may leave, is the first."""
    assert order_history(1, 30, 30) == OrderHistory(0, 0, 30)
    assert order_history(3, 10, 50) == OrderHistory(2, 40, 50)
    assert order_history(2, 60, 50) == OrderHistory(1, 0, 50)


def test_trees_and_orders_count_alike_and_the_season_moves_both() -> None:
    """In a mean season the blend is the mean of log-odds; a longer horizon lowers churn."""
    of = OrderHistory(2, 30, 40)
    flat = MODEL.log_odds(of)
    assert MODEL.blend(1.5, of, 1.0) == pytest.approx((1.5 + flat) / 2)
    busy = MODEL.blend(1.5, of, 1.6)
    assert busy - MODEL.blend(1.5, of, 1.0) == pytest.approx(MODEL.log_odds(of, 1.6) - flat)
    assert busy < MODEL.blend(1.5, of, 1.0)


def test_the_season_goes_by_weeks_of_the_year() -> None:
    """Each day finds its week, the last days the short one."""
    season = tuple(float(week + 1) for week in range(WEEKS))
    model = OrderModel(CDNOW.model_copy(update={"season": season}), 39)
    assert [model.season(day) for day in (0, 6, 7, 363, 364, 365)] == [1, 1, 2, 52, 53, 53]


def test_what_comes_follows_churn() -> None:
    """Expected orders are those of who orders; a sure churn brings none; value goes with them."""
    of = OrderHistory(2, 30, 40)
    sure = MODEL.expected(0.0, of, 1.0, orders=3, mean=50)
    assert sure.orders == pytest.approx(expected_orders(CDNOW, of, 39) / any_order(CDNOW, of, 39))
    assert MODEL.expected(1.0, of, 1.0, orders=3, mean=50).orders == 0
    half = MODEL.expected(0.5, of, 1.0, orders=3, mean=50)
    assert half.orders == pytest.approx(sure.orders / 2)
    worth = (0.44 * 35.2 + 3 * 50) / (0.44 + 3)
    assert half.value == pytest.approx(half.orders * worth)
    assert half.value_micros == round(half.orders * worth * 1e6)
    once = OrderModel(CDNOW.model_copy(update={"repeats": 0.0, "value": None}), 39)
    assert once.expected(0.3, of, 1.0, orders=3, mean=50).orders == pytest.approx(0.7)
    assert once.expected(0.3, of, 1.0, orders=3, mean=50).value_micros is None


def test_an_order_s_value_is_drawn_to_the_shop_s() -> None:
    """More so for few orders; what was paid back in full counts as nothing, not as less."""
    record = OrderValueRecord(mean=100, weight=2)
    values = [order_value(record, orders, 10) for orders in (1, 2, 50)]
    assert values == sorted(values, reverse=True)
    assert values[1] == 55
    assert order_value(record, 2, -30) == 50

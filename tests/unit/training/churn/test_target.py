"""Which churn the data can tell of, and the cuts that they allow."""

from datetime import date, timedelta

import numpy as np

from training.churn.cuts import later_cuts, training_cuts
from training.churn.gaps import OrderGaps
from training.churn.target import MIN_REPEATERS, Target, choose_target


def gaps(repeaters: int, days: float = 30.0) -> OrderGaps:
    """Make gaps of one length."""
    return OrderGaps(np.full(10, days), np.ones(10, np.bool_), repeaters, np.zeros(10, int))


def test_purchases_come_first() -> None:
    """With enough repeat customers and two horizons of data it is churn of purchases."""
    assert choose_target(gaps(MIN_REPEATERS), 60).target == Target("purchase", 30)


def test_too_few_repeat_customers_leave_activity() -> None:
    """One customer too few: churn of activity, and the reason has both numbers."""
    choice = choose_target(gaps(MIN_REPEATERS - 1), 60)
    assert choice.target == Target("activity", 7)
    assert "999" in choice.reason
    assert "1,000" in choice.reason


def test_less_than_two_horizons_leave_activity() -> None:
    """59 days hold no two horizons of 30."""
    choice = choose_target(gaps(MIN_REPEATERS), 59)
    assert choice.target == Target("activity", 7)
    assert "59 days" in choice.reason
    assert "30 days" in choice.reason


def test_too_few_days_leave_nothing() -> None:
    """Below two weeks there is no churn, for both reasons, in numbers."""
    choice = choose_target(gaps(3), 13)
    assert choice.target is None
    assert "3 customers" in choice.reason
    assert "13 days" in choice.reason
    assert choose_target(gaps(3), 14).target == Target("activity", 7)


def test_training_windows_end_with_the_data() -> None:
    """Weekly cuts; the last window ends where the data do, the first has a horizon before it."""
    first, end = date(2021, 1, 1), date(2021, 4, 1)
    plan = training_cuts(Target("purchase", 30), first, end)
    assert plan.cuts[-1] + timedelta(days=30) == end
    assert plan.cuts[0] >= first + timedelta(days=30)
    steps = {later - cut for cut, later in zip(plan.cuts, plan.cuts[1:], strict=False)}
    assert steps == {timedelta(days=7)}
    daily = training_cuts(Target("activity", 7), first, date(2021, 1, 17))
    assert daily.cuts == (date(2021, 1, 8), date(2021, 1, 9), date(2021, 1, 10))


def test_later_cuts_have_whole_windows() -> None:
    """Fortnightly from the first day on, as long as the events cover the window."""
    plan = later_cuts(Target("purchase", 72), date(2011, 3, 1), date(2011, 12, 1))
    assert len(plan.cuts) == 15
    assert plan.cuts[-1] == date(2011, 9, 13)
    assert later_cuts(Target("activity", 7), date(2021, 1, 4), date(2021, 1, 10)).cuts == ()
    assert later_cuts(Target("activity", 7), date(2021, 1, 4), date(2021, 1, 11)).cuts == (
        date(2021, 1, 4),
    )

"""Gaps between order days, the horizon, and the curve of times to the next order."""

import numpy as np
import pytest

from training.churn.gaps import OrderGaps, order_gaps, survival
from training.tables.order_gaps import PURCHASE

DAY = 86_400_000_000


def purchases(*rows: tuple[int, float]) -> np.ndarray:
    """Make purchases from customers and days."""
    made = np.zeros(len(rows), PURCHASE)
    for place, (visitor, day) in enumerate(rows):
        made[place]["visitor"] = visitor
        made[place]["day"] = int(day)
        made[place]["time"] = int(day * DAY)
    return made


def test_gaps_run_between_order_days_and_to_the_end_of_the_data() -> None:
    """Two orders of a day are one; a customer's last order day waits until the data end."""
    gaps = order_gaps(purchases((2, 5), (1, 10.25), (1, 10.5), (1, 14.25)), 20 * DAY)
    assert gaps.days.tolist() == [4.0, 5.75, 15.0]
    assert gaps.came.tolist() == [True, False, False]
    assert gaps.repeaters == 1
    assert gaps.at.tolist() == [10, 14, 5]


def test_the_horizon_is_the_p80_of_gaps_that_ended() -> None:
    """Whole days, of ended gaps alone: those that are still open don't count."""
    days = np.array([10.0, 20.0, 30.0, 40.0, 50.4, 500.0])
    came = np.array([True, True, True, True, True, False])
    assert OrderGaps(days, came, 5, days.astype(int)).horizon_days == round(
        float(np.quantile(days[:5], 0.8))
    )
    assert OrderGaps(days[:0], came[:0], 0, np.array([], int)).horizon_days == 0
    assert OrderGaps(np.array([0.1]), np.array([True]), 1, np.array([0])).horizon_days == 1


def test_the_curve_is_kaplan_and_meier_s() -> None:
    """Their estimate by hand: at each end the share is cut by those who end of those at risk."""
    days = np.array([1.0, 2.0, 2.0, 3.0, 4.0])
    came = np.array([True, True, False, False, True])
    curve = survival(OrderGaps(days, came, 2, days.astype(int)), 5)
    expected = [1, 4 / 5, 4 / 5 * 3 / 4, 4 / 5 * 3 / 4, 0, 0]
    assert curve.share == pytest.approx(expected)
    assert curve.days == (0, 1, 2, 3, 4, 5)
    assert all(low <= share <= high for low, share, high in zip(
        curve.low, curve.share, curve.high, strict=True
    ))  # fmt: skip
    assert curve.low[1] < curve.share[1] < curve.high[1]

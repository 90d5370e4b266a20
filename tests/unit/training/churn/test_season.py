"""The season: told from growth and from chance, or left alone."""

from datetime import date, timedelta

import numpy as np
import pytest

from micromoment.scoring.manifest import WEEKS
from training.churn.season import MIN_DAYS, fit_season

FIRST = date(2020, 12, 1)
EPOCH = date(1970, 1, 1)


def season(days: int, level: np.ndarray, horizon: int = 60, seed: int = 1) -> np.ndarray:
    """Draw orders at a mean number a day and fit."""
    counts = np.random.default_rng(seed).poisson(level)
    order_days = np.repeat((FIRST - EPOCH).days + np.arange(days), counts)
    return np.array(fit_season(order_days, FIRST, FIRST + timedelta(days=days), horizon))


def week_of(month: int, day: int) -> int:
    """Give a day's week of the year."""
    return (date(2021, month, day) - date(2021, 1, 1)).days // 7


def test_without_a_year_and_a_month_there_is_none() -> None:
    """Growth could not be told from the season."""
    assert season(MIN_DAYS - 1, np.full(MIN_DAYS - 1, 50)).tolist() == [1.0] * WEEKS


def test_a_year_of_even_orders_has_none() -> None:
    """Chance alone is no season, however few the orders."""
    for level in (2, 200):
        assert season(480, np.full(480, level)) == pytest.approx(1, abs=0.06)


def test_growth_is_no_season() -> None:
    """A shop that doubles in a year has even weeks."""
    level = 100 * np.exp(np.log(2) * np.arange(480) / 365)
    assert season(480, level) == pytest.approx(1, abs=0.06)


def test_a_busy_november_is_one() -> None:
    """Horizons that hold it count for more, also in a growing shop, those after it for less."""
    days = np.array([FIRST + timedelta(days=place) for place in range(500)])
    busy = np.array([2.5 if day.month == 11 else 1.0 for day in days])
    found = season(500, 100 * busy * np.exp(0.3 * np.arange(500) / 365))
    # November is worth 75 days, a year 410, so a mean day 1.123 of the others.
    expected = (30 * 2.5 + 30) / 60 / 1.123
    assert found[week_of(10, 15)] == pytest.approx(expected, abs=0.06)
    assert found[week_of(12, 10)] == pytest.approx(1 / 1.123, abs=0.06)
    assert found[week_of(3, 1)] == pytest.approx(1 / 1.123, abs=0.06)


def test_a_horizon_of_years_has_none() -> None:
    """Every window holds every season as often."""
    days = np.array([FIRST + timedelta(days=place) for place in range(500)])
    busy = np.array([2.5 if day.month == 11 else 1.0 for day in days])
    assert season(500, 100 * busy, horizon=730) == pytest.approx(1, abs=0.02)

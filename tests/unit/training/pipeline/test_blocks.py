"""Days to fit on and days to calibrate on."""

from datetime import date, timedelta

import pytest

from micromoment.errors import NotEnoughDataError
from training.pipeline.blocks import split_days


def days(count: int) -> list[date]:
    """Give so many days in a row."""
    return [date(2024, 5, 1) + timedelta(days=n) for n in range(count)]


@pytest.mark.parametrize(("count", "later"), [(3, 1), (5, 1), (8, 2), (10, 2), (23, 5), (69, 14)])
def test_the_last_fifth_calibrates(count: int, later: int) -> None:
    """About a fifth of the days, at least one, is kept for calibration: the last ones."""
    blocks = split_days(days(count))
    assert len(blocks.calibration) == later
    assert [*blocks.fit, *blocks.calibration] == days(count)


@pytest.mark.parametrize("count", range(3, 60))
def test_no_day_is_in_both(count: int) -> None:
    """Every day is in one block, and calibration is later than all fitting."""
    blocks = split_days(days(count))
    assert max(blocks.fit) < min(blocks.calibration)
    assert len(blocks.fit) > len(blocks.calibration)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_days(count: int) -> None:
    """The message says how many days there are and how many are needed."""
    with pytest.raises(NotEnoughDataError, match=f"3 days of events or more, there are {count}"):
        split_days(days(count))

"""Blocks of time: earlier days to fit, later days to stop early and to calibrate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from micromoment.errors import NotEnoughDataError

_CALIBRATION_SHARE = 0.2
_MIN_DAYS = 3


@dataclass(frozen=True, slots=True)
class Blocks:
    """Days to fit on and the later days, none shared, to calibrate on; both in order."""

    fit: tuple[date, ...]
    calibration: tuple[date, ...]


def split_days(days: list[date]) -> Blocks:
    """Give the last fifth of the days, at least one, to calibration.

    Raises `NotEnoughDataError` below three days.
    """
    if len(days) < _MIN_DAYS:
        raise NotEnoughDataError(
            f"training needs {_MIN_DAYS} days of events or more, there are {len(days)}"
        )
    later = max(1, round(len(days) * _CALIBRATION_SHARE))
    return Blocks(tuple(days[:-later]), tuple(days[-later:]))

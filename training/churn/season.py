"""The season: how many orders a horizon sees that begins in a given week, against a mean one.

One year can't tell a season from growth, so that there must be some of the same days of two years:
what they differ by is growth, and taken out. Of what is left, the part is kept that the scatter of
single weeks does not explain.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.scoring.manifest import WEEKS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_YEAR: Final = 365
_MEAN_YEAR: Final = 365.2425  # as `customer_year_day` counts
MIN_DAYS: Final = _YEAR + 28
_LEAST: Final = 0.05  # no horizon is worth less than this part of itself
_EPOCH: Final = date(1970, 1, 1).toordinal()


def fit_season(
    order_days: IntArray, first_day: date, end: date, horizon_days: int
) -> tuple[float, ...]:
    """Fit the `WEEKS` factors; `order_days` are days since 1970, one entry per customer and day.

    The data run from `first_day` to the start of `end`. All factors are 1 below `MIN_DAYS` days, or
    where a year has no orders on the days that both years have.
    """
    first = first_day.toordinal() - _EPOCH
    days = end.toordinal() - _EPOCH - first
    flat = (1.0,) * WEEKS
    if days < MIN_DAYS:
        return flat
    inside = order_days[(order_days >= first) & (order_days < first + days)] - first
    counts = np.bincount(inside, minlength=days).astype(np.float64)
    before, after = counts[: days - _YEAR].sum(), counts[_YEAR:].sum()
    if not before or not after:
        return flat
    growth = np.log(after / before) / _YEAR  # per day
    profile = _profile(counts * np.exp(-growth * np.arange(days)), first)
    index = _windows(profile, horizon_days)
    kept = index ** _kept(index, profile, horizon_days)
    return tuple(np.maximum(kept, _LEAST).tolist())


def _profile(level: FloatArray, first: int) -> FloatArray:
    """Mean orders by day of the year, of mean 1, shape (365,)."""
    place = np.minimum((first + np.arange(len(level))) % _MEAN_YEAR, _YEAR - 1).astype(np.int64)
    total = np.bincount(place, level, _YEAR)
    mean = total / np.maximum(np.bincount(place, minlength=_YEAR), 1)
    profile: FloatArray = mean / mean.mean()
    return profile


def _windows(profile: FloatArray, horizon_days: int) -> FloatArray:
    """Mean of the horizon that starts in the middle of each week, shape (WEEKS,)."""
    starts = np.minimum(7 * np.arange(WEEKS) + 3, _YEAR - 1)
    summed = np.concatenate([[0.0], np.cumsum(profile)])

    def until(day: IntArray) -> FloatArray:
        found: FloatArray = day // _YEAR * summed[-1] + summed[day % _YEAR]
        return found

    return (until(starts + horizon_days) - until(starts)) / horizon_days


def _kept(index: FloatArray, profile: FloatArray, horizon_days: int) -> float:
    """Share of the index's variance that is no scatter: the exponent that shrinks it to 1."""
    weeks = profile[: _YEAR // 7 * 7].reshape(-1, 7).mean(axis=1)
    scatter = float(np.mean(np.diff(weeks) ** 2)) / 2  # of one week, whatever is slow left out
    noise = scatter / (horizon_days / 7)
    spread = float(np.var(index))
    return max(0.0, 1.0 - noise / spread) if spread > 0 else 0.0

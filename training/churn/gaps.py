"""A customer's order days: the gaps between them, and how long the next one takes to come.

Order days are those of `training.tables.order_gaps`: orders as they were placed. Times are in days.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import CensoredData, ecdf

from micromoment.events.record import RecordArray

FloatArray = npt.NDArray[np.float64]

HORIZON_SHARE: Final = 0.8
_US_PER_DAY: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class OrderGaps:
    """Times from an order day to the customer's next, or to the end of the data where none came.

    `days` has shape (n,), `came`, likewise, is false for the latter. `repeaters` counts customers
    with two order days or more. `at`, likewise, is the order day, in days since 1970.
    """

    days: FloatArray
    came: npt.NDArray[np.bool_]
    repeaters: int
    at: npt.NDArray[np.int64]

    @property
    def horizon_days(self) -> int:
        """The 80th percentile of the gaps that ended, in whole days, at least 1; 0 without any."""
        ended = self.days[self.came]
        return max(1, round(float(np.quantile(ended, HORIZON_SHARE)))) if len(ended) else 0


@dataclass(frozen=True, slots=True)
class Survival:
    """Share of order days without a next one after so many days (Kaplan and Meier 1958).

    `low` and `high` bound it at 95 % (Greenwood 1926, on the log-log scale); all of shape (n,).
    """

    days: tuple[int, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def order_gaps(purchases: RecordArray, end_us: int) -> OrderGaps:
    """Find the gaps in `PURCHASE` records; the data end at `end_us`, microseconds since 1970."""
    placed = np.sort(purchases, order=["visitor", "time"])
    first = np.ones(len(placed), np.bool_)
    first[1:] = (placed["visitor"][1:] != placed["visitor"][:-1]) | (
        placed["day"][1:] != placed["day"][:-1]
    )
    days = placed[first]
    came = np.zeros(len(days), np.bool_)
    came[:-1] = days["visitor"][1:] == days["visitor"][:-1]
    until = np.full(len(days), end_us, np.int64)
    until[:-1][came[:-1]] = days["time"][1:][came[:-1]]
    gaps = (until - days["time"]) / _US_PER_DAY
    repeaters = len(np.unique(days["visitor"][came]))
    return OrderGaps(np.maximum(gaps, 0.0), came, repeaters, days["day"].astype(np.int64))


def survival(gaps: OrderGaps, last_day: int) -> Survival:
    """Estimate the curve at each whole day from 0 to `last_day`. Needs a gap that ended."""
    censored = CensoredData(gaps.days[gaps.came], right=gaps.days[~gaps.came])
    curve = ecdf(censored).sf
    with warnings.catch_warnings():  # that the bounds are not defined where nothing ended yet
        warnings.simplefilter("ignore", RuntimeWarning)
        bounds = curve.confidence_interval(0.95, method="log-log")
    days = np.arange(last_day + 1)
    share, low, high = (np.asarray(one.evaluate(days)) for one in (curve, bounds.low, bounds.high))
    low, high = (np.where(np.isfinite(bound), bound, share) for bound in (low, high))
    return Survival(
        tuple(days.tolist()), tuple(share.tolist()), tuple(low.tolist()), tuple(high.tolist())
    )

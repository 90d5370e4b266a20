"""Where a visitor stands with the shop over months, by plain rules on what is known of them.

In this order, with the bundle's `LifecycleRecord`:

- unspecified: the store of user features did not answer, or the bundle lacks those features;
- new: first seen less than `new_days` before this visit, or in it;
- a customer, judged by orders. Overdue is one whose time since the last order is `overdue_ratio`
  of their own median gap between orders or more (the shop's below two gaps); where no gap is known,
  who is away counts as overdue. Churned: overdue, and the last order is `away_days` ago or more.
  Resurrected: this visit holds an order, and until it the customer was churned. At risk: overdue.
- anybody else, judged by visits: resurrected when the last one was `away_days` ago or more;
- engaged otherwise.

So a churned visitor is a customer who came back and has not ordered again yet. `away_days` is the
churn model's horizon where it predicts orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.features._compile import compiled
from micromoment.scoring.manifest import LifecycleRecord

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


class Lifecycle(StrEnum):
    """Names of the contract's `Lifecycle`."""

    UNSPECIFIED = "unspecified"
    NEW = "new"
    ENGAGED = "engaged"
    AT_RISK = "at_risk"
    RESURRECTED = "resurrected"
    CHURNED = "churned"


READS: Final = (
    "user_prior_sessions",
    "user_tenure_days",
    "user_days_since_visit",
    "user_recency_days",
    "user_gap_ratio",
    "customer_recency_days",
    "customer_gap_ratio",
)


ORDER: Final = tuple(Lifecycle)
_UNSPECIFIED: Final = ORDER.index(Lifecycle.UNSPECIFIED)
_NEW: Final = ORDER.index(Lifecycle.NEW)
_ENGAGED: Final = ORDER.index(Lifecycle.ENGAGED)
_AT_RISK: Final = ORDER.index(Lifecycle.AT_RISK)
_RESURRECTED: Final = ORDER.index(Lifecycle.RESURRECTED)
_CHURNED: Final = ORDER.index(Lifecycle.CHURNED)


def lifecycle_of(
    values: Sequence[float], places: Mapping[str, int], rules: LifecycleRecord
) -> Lifecycle:
    """Judge a row of features, NaN where missing; `places` tells where those of `READS` are."""
    row = np.asarray(values, np.float64)
    return ORDER[judge(row, places_of(places), limits_of(rules))]


def places_of(places: Mapping[str, int]) -> IntArray:
    """Give where those of `READS` are, shape (7,); of no length for a bundle of older code."""
    known = all(name in places for name in READS)
    return np.array([places[name] for name in READS] if known else [], np.int64)


def limits_of(rules: LifecycleRecord) -> FloatArray:
    """Give the rules' limits, shape (3,), as `judge` takes them."""
    return np.array([rules.new_days, rules.away_days, rules.overdue_ratio])


@compiled
def judge(row: Any, places: Any, limits: Any) -> int:
    """Give the place in `ORDER` for a row of the bundle's features."""
    if len(places) == 0:
        return _UNSPECIFIED
    if np.isnan(row[places[0]]):  # the store did not answer
        return _UNSPECIFIED
    if not row[places[1]] >= limits[0]:  # NaN for a stranger
        return _NEW
    recency, ratio = row[places[5]], row[places[6]]
    if np.isnan(recency):
        return _RESURRECTED if row[places[2]] >= limits[1] else _ENGAGED
    if _churned(recency, ratio, limits):
        return _CHURNED
    if _churned(row[places[3]], row[places[4]], limits):
        return _RESURRECTED
    return _AT_RISK if ratio >= limits[2] else _ENGAGED


@compiled
def _churned(recency: float, ratio: float, limits: Any) -> bool:
    # Without an order before the visit its recency is NaN; without a known gap the ratio is.
    return bool(recency >= limits[1] and not ratio < limits[2])

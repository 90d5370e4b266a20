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
from typing import Final

from micromoment.scoring.manifest import LifecycleRecord


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


def lifecycle_of(
    values: Sequence[float], places: Mapping[str, int], rules: LifecycleRecord
) -> Lifecycle:
    """Judge a row of features, NaN where missing; `places` tells where those of `READS` are."""
    if not all(name in places for name in READS):  # a bundle of older code
        return Lifecycle.UNSPECIFIED
    sessions, tenure, away, recency_before, ratio_before, recency, ratio = (
        values[places[name]] for name in READS
    )
    if sessions != sessions:  # noqa: PLR0124 - NaN: the store did not answer
        return Lifecycle.UNSPECIFIED
    if not tenure >= rules.new_days:  # NaN for a stranger
        return Lifecycle.NEW
    if recency == recency:  # noqa: PLR0124 - not NaN: a customer
        return _customer((recency_before, ratio_before), (recency, ratio), rules)
    return Lifecycle.RESURRECTED if away >= rules.away_days else Lifecycle.ENGAGED


def _customer(
    before: tuple[float, float], now: tuple[float, float], rules: LifecycleRecord
) -> Lifecycle:
    """Judge recency in days and ratio to the usual gap, before the visit and now."""
    if _churned(*now, rules):
        return Lifecycle.CHURNED
    if _churned(*before, rules):
        return Lifecycle.RESURRECTED
    return Lifecycle.AT_RISK if now[1] >= rules.overdue_ratio else Lifecycle.ENGAGED


def _churned(recency: float, ratio: float, rules: LifecycleRecord) -> bool:
    # Without an order before the visit its recency is NaN; without a known gap the ratio is.
    return recency >= rules.away_days and not ratio < rules.overdue_ratio

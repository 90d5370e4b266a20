"""Where a visitor stands with the shop over months, by plain rules on what is known of them.

In this order, with the bundle's `LifecycleRecord`:

- unspecified: the store of user features did not answer, or the bundle lacks those features;
- new: no order before, and first seen less than `new_days` ago;
- a customer: churned when the last order is `away_days` ago or more, at risk when the time since
  it is `overdue_ratio` of their own median gap between orders (the shop's below two gaps),
  resurrected when this visit holds an order after `away_days` without one;
- anybody else: resurrected when the last visit was `away_days` ago or more;
- engaged otherwise.

`away_days` is the churn model's horizon where it predicts orders.
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
    "customer_recency_days",
    "customer_gap_ratio",
)


def lifecycle_of(
    values: Sequence[float], places: Mapping[str, int], rules: LifecycleRecord
) -> Lifecycle:
    """Judge a row of features, NaN where missing; `places` tells where those of `READS` are."""
    if not all(name in places for name in READS):  # a bundle of older code
        return Lifecycle.UNSPECIFIED
    sessions, tenure, away, recency_before, recency, overdue = (
        values[places[name]] for name in READS
    )
    if sessions != sessions:  # noqa: PLR0124 - NaN: the store did not answer
        return Lifecycle.UNSPECIFIED
    if recency == recency:  # noqa: PLR0124 - not NaN: a customer
        return _customer(recency_before, recency, overdue, rules)
    if not tenure >= rules.new_days:
        return Lifecycle.NEW
    return Lifecycle.RESURRECTED if away >= rules.away_days else Lifecycle.ENGAGED


def _customer(
    recency_before: float, recency: float, overdue: float, rules: LifecycleRecord
) -> Lifecycle:
    if recency >= rules.away_days:
        return Lifecycle.CHURNED
    if recency_before >= rules.away_days:
        return Lifecycle.RESURRECTED
    return Lifecycle.AT_RISK if overdue >= rules.overdue_ratio else Lifecycle.ENGAGED

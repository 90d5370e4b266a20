"""Which churn a shop's data can tell of: of purchases, of activity, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from micromoment.scoring.manifest import ChurnTarget
from training.churn.gaps import OrderGaps

MIN_REPEATERS: Final = 1_000
# Two horizons of data: one to know customers by, one to see what comes of them.
HORIZONS_NEEDED: Final = 2
# As GA4 defines its churn probability: active in the last 7 days, not in the next 7.
ACTIVITY_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Target:
    """What is predicted: none of it within `horizon_days` from a cut."""

    kind: ChurnTarget
    horizon_days: int


@dataclass(frozen=True, slots=True)
class Choice:
    """The target, None where there is none; `reason` says in numbers why not a better one."""

    target: Target | None
    reason: str


def choose_target(gaps: OrderGaps, days: int) -> Choice:
    """Choose for a shop with so many days of data, first to last.

    Purchases come first: they need enough customers who ordered again and two horizons of data.
    """
    horizon = gaps.horizon_days
    reasons = []
    if gaps.repeaters < MIN_REPEATERS:
        reasons.append(
            f"{gaps.repeaters:,} customers ordered on two days or more, "
            f"churn of purchases needs {MIN_REPEATERS:,}"
        )
    elif days < HORIZONS_NEEDED * horizon:
        reasons.append(
            f"the data cover {days} days, churn of purchases needs "
            f"{HORIZONS_NEEDED} horizons of {horizon} days"
        )
    else:
        return Choice(Target("purchase", horizon), "")
    needed = HORIZONS_NEEDED * ACTIVITY_DAYS
    if days < needed:
        reasons.append(f"the data cover {days} days, churn of activity needs {needed}")
        return Choice(None, "; ".join(reasons))
    return Choice(Target("activity", ACTIVITY_DAYS), reasons[0])

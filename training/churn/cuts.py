"""The midnights at which customers are looked at, to learn from or to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from micromoment.scoring.manifest import ChurnTarget
from training.churn.target import Target

# Orders are rare: looking weekly sees as much as looking daily does.
TRAINING_STEP: Final[dict[ChurnTarget, int]] = {"purchase": 7, "activity": 1}
EVALUATION_STEP: Final[dict[ChurnTarget, int]] = {"purchase": 14, "activity": 1}


@dataclass(frozen=True, slots=True)
class CutPlan:
    """Cuts with the target that they are labelled by; windows end at `end` or before."""

    target: Target
    cuts: tuple[date, ...]

    def closed_before(self, day: date) -> tuple[date, ...]:
        """Give the cuts whose windows end before or at the start of a day."""
        horizon = timedelta(days=self.target.horizon_days)
        return tuple(cut for cut in self.cuts if cut + horizon <= day)


def training_cuts(target: Target, first_day: date, end: date) -> CutPlan:
    """Plan cuts between data that begin with `first_day` and end at the start of `end`.

    The last cut's window ends with the data. The first cut has a horizon of data before it, so
    that whoever is away that long can be seen to be.
    """
    horizon = timedelta(days=target.horizon_days)
    cuts = []
    cut = end - horizon
    while cut >= first_day + horizon:
        cuts.append(cut)
        cut -= timedelta(days=TRAINING_STEP[target.kind])
    return CutPlan(target, tuple(reversed(cuts)))


def later_cuts(target: Target, first: date, end: date, step: int | None = None) -> CutPlan:
    """Plan cuts from `first` on, every `step` days, whose windows end with the start of `end`."""
    days = step or EVALUATION_STEP[target.kind]
    last = end - timedelta(days=target.horizon_days)
    count = max((last - first).days // days + 1, 0)
    return CutPlan(target, tuple(first + timedelta(days=days * place) for place in range(count)))


def midnights(cuts: Sequence[date], horizon_days: int) -> tuple[tuple[date, date], ...]:
    """Give each cut with the day whose start ends its window."""
    return tuple((cut, cut + timedelta(days=horizon_days)) for cut in cuts)

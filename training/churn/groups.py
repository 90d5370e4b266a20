"""Customers who ordered on one day only, and those who came again, each judged by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.churn.rows import ChurnRows
from training.evaluation.metrics import MetricSet, measure

ONE_TIME: Final = "one-time buyers"
RETURNING: Final = "returning buyers"


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Rows of a group over all cuts, and each score's metrics among them by name."""

    name: str
    n: int
    churned: int
    metrics: dict[str, MetricSet]


def judge_groups(
    rows: ChurnRows, scores: Mapping[str, npt.NDArray[np.float64]]
) -> tuple[GroupFigures, ...]:
    """Measure scores, shape (n,) each, among one-time and returning buyers, as far as any."""
    once = rows.column("customer_order_days") <= 1
    return tuple(
        GroupFigures(
            name=name,
            n=int(inside.sum()),
            churned=int(rows.label[inside].sum()),
            metrics={
                score: measure(rows.label[inside], values[inside])
                for score, values in scores.items()
            },
        )
        for name, inside in ((ONE_TIME, once), (RETURNING, ~once))
        if inside.any()
    )

"""How large clusters and audiences are, and how many of them buy: by decision points and visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

CLUSTER: Final = "cluster"
AUDIENCE: Final = "audience"

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of something, which part of all that is, and the part of them that buys.

    `conversion` is None where there are none.
    """

    n: int
    share: float
    conversion: float | None


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One cluster or audience, settled as replies state it.

    `points` are decision points before the order, `visits` those that were in it at any of these
    points, `last` those that were in it at their last one. Of a point it is asked whether an order
    follows in the visit, of a visit whether it has one.
    """

    kind: str
    id: str
    points: Share
    visits: Share
    last: Share


def measure_segments(
    frame: pd.DataFrame, clusters: Sequence[str], audiences: Sequence[str]
) -> tuple[SegmentRow, ...]:
    """Measure scored events (`score_days`): a row for each cluster, then for each audience."""
    visit = frame["session_id"].astype(str) + ":" + frame["epoch"].astype(str)
    bought = (frame["converted"] | frame["label"]).groupby(visit).transform("max")
    kept = frame["batch_last"] & ~frame["converted"] & ~frame["after_order"]
    points = frame.assign(visit=visit, bought=bought)[kept]
    points = points.sort_values(["visit", "source_seq"], kind="stable")
    names = points["audiences"].map(frozenset)
    holds = {(CLUSTER, one): (points["cluster"] == one).to_numpy() for one in clusters}
    for one in audiences:
        holds[AUDIENCE, one] = np.array([one in found for found in names], dtype=np.bool_)
    is_last = ~points["visit"].duplicated(keep="last").to_numpy()
    return tuple(
        SegmentRow(
            kind=kind,
            id=name,
            points=_share(held, points["label"], np.ones(len(points), np.bool_)),
            visits=_share(_of_visits(points["visit"], held), points["bought"], is_last),
            last=_share(held, points["bought"], is_last),
        )
        for (kind, name), held in holds.items()
    )


def _of_visits(visit: pd.Series, held: BoolArray) -> BoolArray:
    found: BoolArray = pd.Series(held, index=visit.index).groupby(visit).transform("max").to_numpy()
    return found


def _share(held: BoolArray, outcome: pd.Series, counted: BoolArray) -> Share:
    chosen = held & counted
    n, of = int(chosen.sum()), int(counted.sum())
    return Share(
        n=n,
        share=n / of if of else 0.0,
        conversion=float(outcome.to_numpy()[chosen].mean()) if n else None,
    )

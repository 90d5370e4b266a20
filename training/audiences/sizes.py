"""How large clusters and audiences are, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.events.shop import Shop
from training.audiences.members import holds
from training.evaluation.segments import AUDIENCE, CLUSTER


@dataclass(frozen=True, slots=True)
class DaySize:
    """How many of a shop-day's visits were in a cluster or an audience, of `of_visits` in all.

    A visit is in the cluster of its last decision point of the day, and in every audience that it
    was in at any of them. `visitors` counts the different visitors of these visits.
    """

    day: date
    kind: str
    id: str
    visits: int
    visitors: int
    of_visits: int

    @property
    def share(self) -> float:
        """The share of the day's visits."""
        return self.visits / self.of_visits if self.of_visits else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self) | {"day": self.day.isoformat(), "share": round(self.share, 6)}


def day_sizes(
    scored: pa.Table, shop: Shop, clusters: Sequence[str], audiences: Sequence[str]
) -> list[DaySize]:
    """Measure scored events (`score_days`): by cluster, then audience, then day."""
    points = scored.filter(scored["batch_last"])
    frame = points.select(["session_id", "epoch", "visitor_id", "cluster"]).to_pandas()
    frame["day"] = _days(points, shop)
    frame["place"] = np.arange(len(frame))
    visit = ["day", "session_id", "epoch"]
    times = pc.cast(points["event_time"], pa.int64()).to_numpy()
    frame = frame.iloc[np.lexsort((points["source_seq"].to_numpy(), times))]
    at_end = frame.drop_duplicates(visit, keep="last")
    totals = {day: int(n) for day, n in at_end.groupby("day").size().items()}
    found = []
    for one in clusters:
        found += _sizes(CLUSTER, one, at_end[at_end["cluster"] == one], totals)
    for one in audiences:
        inside = frame[holds(points, one)[frame["place"]]]
        found += _sizes(AUDIENCE, one, inside.drop_duplicates(visit), totals)
    return found


def _sizes(kind: str, name: str, visits: pd.DataFrame, totals: dict[Any, int]) -> list[DaySize]:
    by_day = visits.groupby("day")
    n, visitors = by_day.size(), by_day["visitor_id"].nunique()
    return [
        DaySize(
            date.fromordinal(int(day)),
            kind,
            name,
            int(n.get(day, 0)),
            int(visitors.get(day, 0)),
            totals[day],
        )
        for day in sorted(totals)
    ]


def _days(points: pa.Table, shop: Shop) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give each row's shop-day as an ordinal."""
    times = pc.cast(points["event_time"], pa.int64()).to_numpy()
    local = times + shop.utc_offsets_minutes(times).astype(np.int64) * 60_000_000
    days: np.ndarray[tuple[int], np.dtype[np.int64]] = (
        local // 86_400_000_000 + date(1970, 1, 1).toordinal()
    )
    return days

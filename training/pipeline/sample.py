"""A sample of scored decision points with their features, taken while parts go by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.events.hashing import hash_distinct_strings
from training.models.rows import DecisionRows
from training.pipeline.rows import to_rows
from training.replay.decisions import eligible


@dataclass(frozen=True)
class SampledPoints:
    """n decision points before the order, and what was said of them."""

    rows: DecisionRows
    conversion: npt.NDArray[np.float64]  # (n,), NaN without a conversion model


class PointSample:
    """Keeps at most `limit` decision points: those whose ids have the lowest hashes.

    So the sample depends neither on the order of the parts nor on how visits are parted.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: pa.Table | None = None

    def look(self, scored: pa.Table) -> None:
        """Take in one part, as `score_table` gives it."""
        points = self._lowest(scored.filter(eligible(scored)))
        if self._kept is not None:
            points = self._lowest(pa.concat_tables([self._kept, points]))
        self._kept = points

    def points(self) -> SampledPoints | None:
        """Give what was kept; None where nothing was."""
        if self._kept is None or not len(self._kept):
            return None
        scores = pc.fill_null(self._kept["conversion"], float("nan"))
        return SampledPoints(to_rows(self._kept), scores.to_numpy())

    def _lowest(self, table: pa.Table) -> pa.Table:
        if len(table) <= self._limit:
            return table
        order = np.argsort(hash_distinct_strings(table["decision_id"]), kind="stable")
        return table.take(np.sort(order[: self._limit]))

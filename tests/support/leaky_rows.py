"""Made-up decision rows whose features are honest, to plant leaks into."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from training.models.rows import DecisionRows

FloatArray = npt.NDArray[np.float64]

DAYS = 20
FIRST_DAY = 730_000


@dataclass(frozen=True)
class MadeUp:
    """Honest rows, and what only the outcome could tell: per row, shape (n,)."""

    rows: DecisionRows
    category: npt.NDArray[np.int64]  # 300 of them, which buy more or less often
    final: FloatArray  # the visit's number of events
    total: FloatArray  # orders of the visitor over all days
    past: FloatArray  # orders of the visitor before the visit
    random: np.random.Generator

    def with_feature(self, values: npt.NDArray[np.generic]) -> DecisionRows:
        """Add a feature `planted`."""
        column = values.astype(np.float32)[:, np.newaxis]
        features = np.ascontiguousarray(np.concatenate([self.rows.features, column], axis=1))
        names = (*self.rows.feature_names, "planted")
        return replace(self.rows, features=features, feature_names=names)


def made_up_rows(seed: int, visits: int = 6_000) -> MadeUp:
    """Let visitors come, look around, and buy in 6 visits of 100 or so."""
    random = np.random.default_rng(seed)
    visitor = np.sort(random.integers(0, visits * 2 // 3, visits))
    taste = random.normal(size=visits)[visitor]
    category = random.integers(0, 300, visits)
    appeal = random.normal(0, 0.5, 300)[category]
    length = 1 + random.geometric(0.15, visits).clip(max=40)
    odds = -3.6 + 0.8 * taste + appeal + 0.06 * length
    buys = random.random(visits) < 1 / (1 + np.exp(-odds))
    day = FIRST_DAY + np.sort(random.integers(0, DAYS, visits))[random.permutation(visits)]
    by_time = np.lexsort((day, visitor))
    visitor, day = visitor[by_time], day[by_time]
    before: FloatArray = np.cumsum(buys).astype(np.float64) - buys
    begins = np.concatenate([[True], visitor[1:] != visitor[:-1]])
    past = before - np.maximum.accumulate(np.where(begins, before, 0))
    total = np.bincount(visitor, buys)[visitor].astype(np.float64)
    session = np.repeat(np.arange(visits), length)
    seen = np.arange(len(session)) - np.repeat(np.cumsum(length) - length, length) + 1
    looks = random.random(len(session)) < 1 / (1 + np.exp(-taste[session]))
    so_far = np.cumsum(looks)
    start: npt.NDArray[np.int64] = np.repeat((so_far - looks)[np.cumsum(length) - length], length)
    features = np.stack(
        [
            seen,
            so_far - start,
            past[session],
            (taste + random.normal(size=visits))[session],
            np.where(random.random(len(session)) < 0.3, np.nan, random.normal(size=len(session))),
            random.integers(0, 24, visits)[session],
        ],
        axis=1,
    ).astype(np.float32)
    names = ("n_events", "n_looks", "past_orders", "taste", "noise", "hour")
    rows = DecisionRows(
        features=np.ascontiguousarray(features),
        feature_names=names,
        label=buys[session],
        events_seen=seen,
        session=session,
        visitor=visitor[session],
        day=day[session],
    )
    return MadeUp(
        rows,
        category[session],
        length[session].astype(np.float64),
        total[session],
        past[session].astype(np.float64),
        random,
    )

"""Which decision points clusters are made of: each visit at the same few numbers of events."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from training.models.rows import DecisionRows

# Spaced so that a long visit has at most seven points and a visit of two events has two.
KS: Final = (1, 2, 3, 5, 10, 20, 40)
MAX_VISITS: Final = 10_000

IntArray = npt.NDArray[np.int64]


def sample_visits(rows: DecisionRows, seed: int) -> DecisionRows:
    """Keep all rows of at most `MAX_VISITS` visits, chosen at random by `seed`."""
    visits = np.unique(rows.session)
    if len(visits) <= MAX_VISITS:
        return rows
    chosen = np.random.default_rng(seed).choice(visits, MAX_VISITS, replace=False)
    return rows.take(np.isin(rows.session, chosen))


def points_at(rows: DecisionRows) -> IntArray:
    """Give the place of each visit's first row with k events or more, for each k of `KS`.

    Visits that end before have none; a row is there twice when its batch leaps over a k.
    """
    order = np.lexsort((rows.events_seen, rows.session))
    seen, visit = rows.events_seen[order], rows.session[order]
    before = np.zeros_like(seen)
    before[1:] = np.where(visit[1:] == visit[:-1], seen[:-1], 0)
    return np.concatenate([order[(seen >= k) & (before < k)] for k in KS])

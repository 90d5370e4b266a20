"""How much each decision point counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def training_weight(events_seen: IntArray) -> FloatArray:
    """Give each decision point the weight `events_seen ** -0.5`, shape (n,).

    Long visits have most of the rows, while most decisions are early: the power evens that out
    using only what is known at the point itself. 1 / (rows in the session) must never be used:
    it depends on how long the session will still last, and so tells the outcome.
    """
    return events_seen.astype(np.float64) ** -0.5


def at_counts(events_seen: IntArray, session: IntArray, ks: Sequence[int]) -> BoolArray:
    """Mark the rows at which a session is at one of these numbers of events seen, shape (n,)."""
    return prefix_weight(events_seen, session, ks) > 0


def prefix_weight(events_seen: IntArray, session: IntArray, ks: Sequence[int]) -> FloatArray:
    """Give weights under which a mean over rows is the mean over k of the means at k, shape (n,).

    A session is at k at its first row with k events seen or more; sessions that end before are not
    there. The weights sum to the number of ks that any session reaches; most rows have weight 0.
    """
    order = np.lexsort((events_seen, session))
    seen, visit = events_seen[order], session[order]
    same_visit = np.concatenate([np.zeros(1, np.bool_), visit[1:] == visit[:-1]])[: len(visit)]
    before = np.zeros_like(seen)
    before[1:] = np.where(same_visit[1:], seen[:-1], 0)
    weight = np.zeros(len(seen))
    for k in ks:
        at_k = order[(seen >= k) & (before < k)]
        if len(at_k):
            weight[at_k] += 1 / len(at_k)
    return weight

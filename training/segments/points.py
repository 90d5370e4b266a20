"""Which decision points clusters are made of: each visit at the same few numbers of events.

And which of them belong to which week.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from training.models.rows import DecisionRows

# Spaced so that a long visit has at most seven points and a visit of two events has two.
KS: Final = (1, 2, 3, 5, 10, 20, 40)
MAX_VISITS: Final = 10_000
WEEK: Final = 7
MAX_WEEKS: Final = 4
# Of each period, to be compared with another.
MIN_VISITS_OF_PERIOD: Final = 200

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


def periods_of(points: DecisionRows) -> list[IntArray]:
    """Give the places of each period's points: whole weeks back from the last day, in order.

    At most `MAX_WEEKS` of them; below two weeks of days the two halves. A visit belongs to the
    period of its first point. Gives none with a single day, or where a period has too few visits.
    """
    begun = _first_days(points)
    if not len(begun):
        return []
    last = int(begun.max())
    span = last - int(begun.min()) + 1
    length = WEEK if span >= 2 * WEEK else span // 2
    if length == 0:
        return []
    back = (last - begun) // length
    found = [np.flatnonzero(back == ago) for ago in range(min(span // length, MAX_WEEKS))][::-1]
    visits = [len(np.unique(points.session[own])) for own in found]
    return found if min(visits) >= MIN_VISITS_OF_PERIOD else []


def _first_days(points: DecisionRows) -> IntArray:
    """Give the day on which each point's visit began, as far as the points tell."""
    _, visit = np.unique(points.session, return_inverse=True)
    first = np.full(int(visit.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, visit, points.day.astype(np.int64))
    begun: IntArray = first[visit]
    return begun

"""View-to-buy rates of products and categories over the seven shop-days before each day.

Smoothed as (w + buys) / (w / prior + visits), w = `PSEUDO_BUYS`, the prior being the rate of all
keys together in these days. Keys are the `MAX_KEYS` most often acted on in the whole time; what is
known of a key at a day is of the days before alone. A day without any visit in its seven days has
no row of its own: the row before holds on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.events.shop import Shop
from micromoment.features.tables import no_popularity
from training.tables.products import DayCounts, added_up

WINDOW_DAYS: Final = 7
PSEUDO_BUYS: Final = 2.0
MIN_VISITS: Final = 10
# Rows are days: so a year takes 30 MB at most while training, and a bundle's single row 80 kB.
MAX_KEYS: Final = 10_000

_EPOCH: Final = date(1970, 1, 1).toordinal()
_US_PER_SECOND: Final = 1_000_000

FloatArray = npt.NDArray[np.float64]
KeyArray = npt.NDArray[np.uint64]


def fit_popularity(name: str, counts: DayCounts, shop: Shop) -> dict[str, npt.NDArray[np.generic]]:
    """Fit one row per shop-day after the first, the day after the last included.

    Gives `<name>_starts`, `<name>_prior`, `<name>_keys` and `<name>_values` as `Tables` has them.
    """
    totals = _totals(counts)
    if not totals.visits.any():
        return dict(no_popularity(name))
    keys = _most_frequent(totals)
    starts, visits, buys, prior = [], [], [], []
    for start in _days_with_history(counts):
        week = _week_before(counts, start)
        if not week.visits.any():
            continue
        known = np.isin(week.key, keys)
        column = np.searchsorted(keys, week.key[known])
        starts.append(_midnight(start, shop))
        visits.append(np.bincount(column, week.visits[known], len(keys)))
        buys.append(np.bincount(column, week.buys[known], len(keys)))
        prior.append(min(week.buys.sum() / week.visits.sum(), 1.0))
    return {
        f"{name}_starts": np.array(starts, np.int64),
        f"{name}_prior": np.array(prior),
        f"{name}_keys": keys,
        f"{name}_values": _smoothed(np.stack(visits), np.stack(buys), np.array(prior)),
    }


def _totals(counts: DayCounts) -> DayCounts:
    return added_up([replace(counts, day=np.zeros_like(counts.day))])


def _most_frequent(totals: DayCounts) -> KeyArray:
    often = np.flatnonzero(totals.visits >= MIN_VISITS)
    order = np.argsort(-totals.visits[often], kind="stable")
    return np.sort(totals.key[often[order[:MAX_KEYS]]])


def _days_with_history(counts: DayCounts) -> list[int]:
    # Each has a counted day among the seven before; none is later than the day after the last.
    days = np.unique(np.unique(counts.day)[:, np.newaxis] + np.arange(1, WINDOW_DAYS + 1))
    return [int(day) for day in days[days <= counts.day.max() + 1]]


def _week_before(counts: DayCounts, start: int) -> DayCounts:
    begin, end = np.searchsorted(counts.day, (start - WINDOW_DAYS, start))
    rows = slice(begin, end)
    return DayCounts(counts.day[rows], counts.key[rows], counts.visits[rows], counts.buys[rows])


def _smoothed(visits: FloatArray, buys: FloatArray, prior: FloatArray) -> FloatArray:
    # In days without any order every rate is 0, as the formula has it in the limit.
    with np.errstate(divide="ignore"):
        pseudo_visits = (PSEUDO_BUYS / prior)[:, np.newaxis]
    rates: FloatArray = (PSEUDO_BUYS + buys) / (pseudo_visits + visits)
    return rates


def _midnight(day: int, shop: Shop) -> int:
    begins = datetime.combine(date.fromordinal(_EPOCH + day), time(), shop.zone)
    return int(begins.timestamp()) * _US_PER_SECOND

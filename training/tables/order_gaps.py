"""The shop's median gap between a customer's order days: what a recency is measured against.

A gap runs from the first order of one shop-day to the first of the customer's next with an order.
Orders are taken as they were placed, whether or not they were undone later; bots and visitors who
denied analytics are left out, as they are in user snapshots.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from micromoment.events.record import FLAG_ANALYTICS_DENIED, FLAG_BOT, RecordArray
from micromoment.events.vocabulary import EventType
from micromoment.features.tables import N_FOLDS
from training.replay.run import ReplaySettings, run_jobs, session_folds
from training.replay.sessions import group_by_session

# With fewer gaps than this the shop's rhythm is not known.
MIN_GAPS: Final = 20

PURCHASE: Final = np.dtype(
    [("visitor", "u8"), ("day", "i8"), ("time", "i8"), ("fold", "i8")]
)  # day since 1970 by the shop's clock, microseconds, fold of the session

_US_PER_DAY: Final = 86_400_000_000
_US_PER_MINUTE: Final = 60_000_000

FloatArray = npt.NDArray[np.float64]


def collect_purchases(parts: list[Path], settings: ReplaySettings) -> RecordArray:
    """Collect the purchases of all parts, `PURCHASE` records."""
    jobs = [(part, settings) for part in parts]
    return np.concatenate(list(run_jobs(_collect, jobs, settings.workers)))


def fit_order_gaps(purchases: RecordArray) -> FloatArray:
    """Fit `Tables.order_gap_days`, shape (1 + N_FOLDS,): fold 0 on all customers.

    Fold 1 + i leaves out whoever ordered in a visit of part i. 0 stands for fewer than `MIN_GAPS`.
    """
    medians = np.zeros(1 + N_FOLDS)
    medians[0] = _median_gap(purchases)
    for fold in range(N_FOLDS):
        own = np.unique(purchases["visitor"][purchases["fold"] == fold])
        medians[1 + fold] = _median_gap(purchases[~np.isin(purchases["visitor"], own)])
    return medians


def _median_gap(purchases: RecordArray) -> float:
    placed = np.sort(purchases, order=["visitor", "time"])
    first = np.ones(len(placed), dtype=np.bool_)
    same = placed["visitor"][1:] == placed["visitor"][:-1]
    first[1:] = ~same | (placed["day"][1:] != placed["day"][:-1])
    days = placed[first]
    gaps = np.diff(days["time"])[days["visitor"][1:] == days["visitor"][:-1]]
    return float(np.median(gaps)) / _US_PER_DAY if len(gaps) >= MIN_GAPS else 0.0


def _collect(job: tuple[Path, ReplaySettings]) -> RecordArray:
    part, settings = job
    grouped = group_by_session(pq.read_table(part), settings.shop, settings.ids)
    events = grouped.batch.events
    left_out = (events["flags"] & (FLAG_BOT | FLAG_ANALYTICS_DENIED)) != 0
    rows = np.flatnonzero((events["type"] == EventType.PURCHASE) & ~left_out)
    times = events["event_time"][rows]
    offsets = settings.shop.utc_offsets_minutes(times).astype(np.int64)
    purchases = np.zeros(len(rows), PURCHASE)
    purchases["visitor"] = events["visitor"][rows]
    purchases["time"] = times
    purchases["day"] = (times + offsets * _US_PER_MINUTE) // _US_PER_DAY
    purchases["fold"] = session_folds(grouped)[grouped.session_of[rows]]
    return purchases

"""Customers at given times, outside any visit: what the churn model learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from micromoment.events.record import RecordArray
from micromoment.features import reducer
from micromoment.features._compile import compiled
from micromoment.features.catalogue import FEATURES
from micromoment.features.families import user
from micromoment.features.state import STATE
from micromoment.features.tables import Tables
from micromoment.features.user_snapshot import UserStatus

_FOUND = int(UserStatus.FOUND)


def describe_customers(
    rows: RecordArray,
    times_us: npt.NDArray[np.int64],
    tables: Tables,
    folds: npt.NDArray[np.int64],
) -> RecordArray:
    """Describe n customers, each as of its time and by its fold of the tables.

    `rows` are their `USER_SNAPSHOT` records, `times_us` microseconds since 1970, `folds` places on
    the tables' first axis; all of shape (n,). Each gets the features of a session without events
    that takes its row up then. Returns `FEATURES` records, shape (n,). Raises `ValueError` for
    shapes that differ and folds that the tables don't have.
    """
    n = len(rows)
    if times_us.shape != (n,) or folds.shape != (n,):
        raise ValueError(f"rows, times and folds have {n}, {times_us.shape}, {folds.shape} entries")
    if n and not 0 <= folds.min() <= folds.max() < len(tables.order_gap_days):
        raise ValueError(f"a fold is not among the tables' {len(tables.order_gap_days)}")
    features = np.zeros(n, FEATURES)
    _describe(rows, times_us, tables, folds, features)
    return features


@compiled
def _describe(rows: Any, times_us: Any, tables: Tables, folds: Any, features: Any) -> None:
    states = np.zeros(1, STATE)
    blank = np.zeros(1, STATE)
    for index in range(len(rows)):
        states[0] = blank[0]
        user.take_up(states[0], rows[index], _FOUND, times_us[index])
        reducer.describe(states[0], times_us[index], tables, folds[index], features[index])

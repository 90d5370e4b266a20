"""What `describe` looks up that was learned from data: the tables that a bundle carries.

Each array's first axis is the fold. Fold 0 is fitted on all training sessions and serves; fold
1 + i is fitted without the i-th part of the visitors and encodes exactly those in training, so
that no row is encoded by a table that has seen its own outcome.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from micromoment.events.vocabulary import N_EVENT_GROUPS

N_FOLDS = 5


class Tables(NamedTuple):
    """Learned tables; `transition_llr[f, a, b]` is log P(b|a, buyers) - log P(b|a, others)."""

    transition_llr: npt.NDArray[np.float64]  # (folds, 16, 16)


def neutral_tables(folds: int = 1) -> Tables:
    """Make tables that say nothing: all zeros."""
    return Tables(np.zeros((folds, N_EVENT_GROUPS, N_EVENT_GROUPS)))


def tables_to_arrays(tables: Tables) -> dict[str, npt.NDArray[Any]]:
    """Give the tables by name, to be stored."""
    return dict(tables._asdict())


def tables_from_arrays(arrays: dict[str, npt.NDArray[Any]]) -> Tables:
    """Rebuild tables from stored arrays. Raises `ValueError` naming an array of a wrong shape."""
    missing = set(Tables._fields) - set(arrays)
    if missing:
        raise ValueError(f"tables are missing: {', '.join(sorted(missing))}")
    llr = np.ascontiguousarray(arrays["transition_llr"], dtype=np.float64)
    if llr.ndim != 3 or not len(llr) or llr.shape[1:] != (N_EVENT_GROUPS, N_EVENT_GROUPS):
        raise ValueError(f"transition_llr has shape {llr.shape}, expected (folds, 16, 16)")
    if not np.isfinite(llr).all():
        raise ValueError("transition_llr holds values that are not finite")
    return Tables(llr)

"""Log-likelihood ratios of event transitions: buyers' Markov chain over the others'.

Both chains are smoothed towards the pooled one: P(b | a) = (n_ab + m p_ab) / (n_a + m), with p the
pooled chain (itself smoothed towards uniform) and m = `PSEUDO_TRANSITIONS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from micromoment.events.vocabulary import N_EVENT_GROUPS
from micromoment.features.replay import transitions_before_order
from micromoment.features.tables import N_FOLDS
from training.replay.run import ReplaySettings, run_jobs, session_folds
from training.replay.sessions import group_by_session

PSEUDO_TRANSITIONS: Final = 20.0

# Transitions of (fold, others or buyers), summed over sessions: (N_FOLDS, 2, 16, 16).
FoldCounts = npt.NDArray[np.int64]


def count_transitions(parts: list[Path], settings: ReplaySettings) -> FoldCounts:
    """Count transitions before the first order over all parts, by visitor fold and outcome."""
    total = np.zeros((N_FOLDS, 2, N_EVENT_GROUPS, N_EVENT_GROUPS), dtype=np.int64)
    for counts in run_jobs(_count_part, [(part, settings) for part in parts], settings.workers):
        total += counts
    return total


def fit_transitions(counts: FoldCounts) -> npt.NDArray[np.float64]:
    """Fit fold 0 on all counts and fold 1 + i on all but those of visitor fold i.

    Gives `Tables.transition_llr`, shape (1 + N_FOLDS, 16, 16).
    """
    total = counts.sum(axis=0)
    folds = [total, *(total - counts[fold] for fold in range(N_FOLDS))]
    return np.stack([_log_ratio(others, buyers) for others, buyers in folds])


def _log_ratio(
    others: npt.NDArray[np.int64], buyers: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    pooled = _smoothed(others + buyers, np.full(others.shape, 1.0 / N_EVENT_GROUPS))
    return np.log(_smoothed(buyers, pooled)) - np.log(_smoothed(others, pooled))


def _smoothed(
    counts: npt.NDArray[np.int64], prior: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    rows = counts.sum(axis=1, keepdims=True)
    smoothed: npt.NDArray[np.float64] = (counts + PSEUDO_TRANSITIONS * prior) / (
        rows + PSEUDO_TRANSITIONS
    )
    return smoothed


def _count_part(job: tuple[Path, ReplaySettings]) -> FoldCounts:
    part, settings = job
    grouped = group_by_session(pq.read_table(part), settings.shop, settings.ids)
    counts, ordered = transitions_before_order(
        grouped.batch, grouped.order, grouped.starts, settings.expiry_us, settings.skew_us
    )
    folds = session_folds(grouped)
    total = np.zeros((N_FOLDS, 2, N_EVENT_GROUPS, N_EVENT_GROUPS), dtype=np.int64)
    for fold in range(N_FOLDS):
        for bought in (False, True):
            chosen = (folds == fold) & (ordered == bought)
            total[fold, int(bought)] = counts[chosen].sum(axis=0, dtype=np.int64)
    return total

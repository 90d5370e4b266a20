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
    """Learned tables, with f folds.

    `transition_llr[f, a, b]` is log P(b|a, buyers) - log P(b|a, others). Of each encoding,
    `<name>_keys` are its n keys in ascending order and `<name>_values`, shape (f, n), their values:
    weights in a sparse linear model for pages, log-likelihood ratios for the others.
    `order_gap_days[f]` is the shop's median gap between a customer's order days, 0 for not known.
    """

    transition_llr: npt.NDArray[np.float64]  # (f, 16, 16)
    page_keys: npt.NDArray[np.uint64]
    page_values: npt.NDArray[np.float64]
    landing_keys: npt.NDArray[np.uint64]
    landing_values: npt.NDArray[np.float64]
    source_keys: npt.NDArray[np.uint64]
    source_values: npt.NDArray[np.float64]
    campaign_keys: npt.NDArray[np.uint64]
    campaign_values: npt.NDArray[np.float64]
    item_keys: npt.NDArray[np.uint64]
    item_values: npt.NDArray[np.float64]
    order_gap_days: npt.NDArray[np.float64]  # (f,)


ENCODINGS = ("page", "landing", "source", "campaign", "item")


def neutral_tables(folds: int = 1) -> Tables:
    """Make tables that say nothing: all zeros, no keys."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "transition_llr": np.zeros((folds, N_EVENT_GROUPS, N_EVENT_GROUPS)),
        "order_gap_days": np.zeros(folds),
    }
    for name in ENCODINGS:
        arrays[f"{name}_keys"] = np.zeros(0, np.uint64)
        arrays[f"{name}_values"] = np.zeros((folds, 0))
    return Tables(**arrays)


def first_fold(tables: Tables) -> Tables:
    """Keep fold 0 alone: what a bundle carries."""
    kept = {
        name: array if name.endswith("_keys") else np.ascontiguousarray(array[:1])
        for name, array in tables_to_arrays(tables).items()
    }
    return Tables(**kept)


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
    checked: dict[str, npt.NDArray[Any]] = {"transition_llr": llr}
    for name in ENCODINGS:
        keys = np.ascontiguousarray(arrays[f"{name}_keys"], dtype=np.uint64)
        values = np.ascontiguousarray(arrays[f"{name}_values"], dtype=np.float64)
        if keys.ndim != 1 or values.shape != (len(llr), len(keys)):
            shapes = f"{keys.shape} and {values.shape}"
            raise ValueError(
                f"{name}_keys and {name}_values have shapes {shapes}, not (n) and (f, n)"
            )
        if (keys[1:] <= keys[:-1]).any():
            raise ValueError(f"{name}_keys are not in ascending order")
        checked[f"{name}_keys"], checked[f"{name}_values"] = keys, values
    gaps = np.ascontiguousarray(arrays["order_gap_days"], dtype=np.float64)
    if gaps.shape != (len(llr),) or (gaps < 0).any():
        raise ValueError(f"order_gap_days must be {len(llr)} numbers of 0 or more, one per fold")
    checked["order_gap_days"] = gaps
    for name, array in checked.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite")
    return Tables(**checked)

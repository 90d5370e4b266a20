"""What `describe` looks up that was learned from data: the tables that a bundle carries.

Of transitions and encodings the first axis is the fold. Fold 0 is fitted on all training sessions
and serves; fold 1 + i is fitted without the i-th part of the visitors and encodes exactly those in
training, so that no row is encoded by a table that has seen its own outcome. Of popularities it is
the day from which a row holds: each is fitted on the days before.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

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

    Of each popularity, row d holds from `<name>_starts[d]` on, microseconds since 1970 in ascending
    order: `<name>_values`, shape (d, n), are the rates of its n keys, `<name>_prior`, shape (d,),
    is that of all together. `price_edges` part the buckets of prices, in ascending order.
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
    item_popularity_starts: npt.NDArray[np.int64]
    item_popularity_prior: npt.NDArray[np.float64]
    item_popularity_keys: npt.NDArray[np.uint64]
    item_popularity_values: npt.NDArray[np.float64]
    category_popularity_starts: npt.NDArray[np.int64]
    category_popularity_prior: npt.NDArray[np.float64]
    category_popularity_keys: npt.NDArray[np.uint64]
    category_popularity_values: npt.NDArray[np.float64]
    price_edges: npt.NDArray[np.float64]  # currency units


ENCODINGS: Final = ("page", "landing", "source", "campaign", "item")
POPULARITIES: Final = ("item_popularity", "category_popularity")

_Arrays = dict[str, npt.NDArray[Any]]


def neutral_tables(folds: int = 1) -> Tables:
    """Make tables that say nothing: all zeros, no keys, no days, no edges."""
    arrays: _Arrays = {
        "transition_llr": np.zeros((folds, N_EVENT_GROUPS, N_EVENT_GROUPS)),
        "order_gap_days": np.zeros(folds),
        "price_edges": np.zeros(0),
    }
    for name in ENCODINGS:
        arrays[f"{name}_keys"] = np.zeros(0, np.uint64)
        arrays[f"{name}_values"] = np.zeros((folds, 0))
    for name in POPULARITIES:
        arrays |= no_popularity(name)
    return Tables(**arrays)


def no_popularity(name: str) -> _Arrays:
    """Make the arrays of a popularity without any day."""
    return {
        f"{name}_starts": np.zeros(0, np.int64),
        f"{name}_prior": np.zeros(0),
        f"{name}_keys": np.zeros(0, np.uint64),
        f"{name}_values": np.zeros((0, 0)),
    }


def served_tables(tables: Tables) -> Tables:
    """Keep what a bundle carries: fold 0, and of each popularity the last row, for all times."""
    kept = tables_to_arrays(tables)
    for name in ("transition_llr", "order_gap_days", *(f"{one}_values" for one in ENCODINGS)):
        kept[name] = np.ascontiguousarray(kept[name][:1])
    for name in POPULARITIES:
        for part in ("starts", "prior", "values"):
            kept[f"{name}_{part}"] = np.ascontiguousarray(kept[f"{name}_{part}"][-1:])
        kept[f"{name}_starts"] = np.zeros_like(kept[f"{name}_starts"])
    return Tables(**kept)


def tables_to_arrays(tables: Tables) -> _Arrays:
    """Give the tables by name, to be stored."""
    return dict(tables._asdict())


def tables_from_arrays(arrays: _Arrays) -> Tables:
    """Rebuild tables from stored arrays. Raises `ValueError` naming an array of a wrong shape."""
    missing = set(Tables._fields) - set(arrays)
    if missing:
        raise ValueError(f"tables are missing: {', '.join(sorted(missing))}")
    types = {"keys": np.uint64, "starts": np.int64}
    checked: _Arrays = {
        name: np.ascontiguousarray(arrays[name], types.get(name.rpartition("_")[2], np.float64))
        for name in Tables._fields
    }
    llr = checked["transition_llr"]
    if llr.ndim != 3 or not len(llr) or llr.shape[1:] != (N_EVENT_GROUPS, N_EVENT_GROUPS):
        raise ValueError(f"transition_llr has shape {llr.shape}, expected (folds, 16, 16)")
    for name in ENCODINGS:
        _check_keys(checked, name, len(llr), "f")
    for name in POPULARITIES:
        starts, prior = checked[f"{name}_starts"], checked[f"{name}_prior"]
        if starts.ndim != 1 or prior.shape != starts.shape:
            shapes = f"{starts.shape} and {prior.shape}"
            raise ValueError(f"{name}_starts and {name}_prior have shapes {shapes}, not both (d)")
        _check_order(f"{name}_starts", starts)
        _check_keys(checked, name, len(starts), "d")
    edges = checked["price_edges"]
    if edges.ndim != 1 or (edges[1:] < edges[:-1]).any():
        raise ValueError("price_edges are not in ascending order")
    gaps = checked["order_gap_days"]
    if gaps.shape != (len(llr),) or (gaps < 0).any():
        raise ValueError(f"order_gap_days must be {len(llr)} numbers of 0 or more, one per fold")
    for name, array in checked.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite")
    return Tables(**checked)


def _check_keys(arrays: _Arrays, name: str, rows: int, axis: str) -> None:
    keys, values = arrays[f"{name}_keys"], arrays[f"{name}_values"]
    if keys.ndim != 1 or values.shape != (rows, len(keys)):
        shapes = f"{keys.shape} and {values.shape}"
        raise ValueError(
            f"{name}_keys and {name}_values have shapes {shapes}, not (n) and ({axis}, n)"
        )
    _check_order(f"{name}_keys", keys)


def _check_order(name: str, array: npt.NDArray[Any]) -> None:
    if (array[1:] <= array[:-1]).any():
        raise ValueError(f"{name} are not in ascending order")

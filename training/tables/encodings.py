"""Encodings of pages, sources and products: what their buyers' share says, shrunk towards nothing.

They are fitted on visits after 1, 2, 3, 5, 10, 20 and 40 events, each number with equal weight, on
what a visit held then and whether it bought later. Fold 0 is fitted on all visitors, fold 1 + i on
all but those of part i, whom it encodes in training.

Pages get the weights of a logistic regression over the distinct pages seen (L2 penalty), with one
intercept per number of events. The others get a log-likelihood ratio with `PRIOR_VISITS` visits of
the average mixed in (Micci-Barreca 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from micromoment.events.record import RecordArray
from micromoment.features.replay import visit_keys
from micromoment.features.tables import N_FOLDS
from training.models.weights import prefix_weight
from training.replay.labels import BatchLabels, label_batches
from training.replay.run import ReplaySettings, replay_moments, run_jobs, session_folds
from training.replay.sessions import GroupedEvents, group_by_session

KS: Final = (1, 2, 3, 5, 10, 20, 40)
MIN_VISITORS: Final = 20
PRIOR_VISITS: Final = 100.0
# More points than this are sampled: 300 bytes each.
MAX_POINTS: Final = 2_000_000
PENALTY: Final = 0.05  # inverse strength, as scikit-learn counts it

FloatArray = npt.NDArray[np.float64]
KeyArray = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class VisitPoints:
    """Visits after k events, n of them: their keys (`VISIT_KEYS`), outcome, fold and k."""

    keys: RecordArray
    buys: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int64]
    k: npt.NDArray[np.int64]


def collect_points(parts: list[Path], settings: ReplaySettings) -> VisitPoints:
    """Collect the visits' points of all parts, before their order."""
    limit = MAX_POINTS // max(len(parts), 1)
    jobs = [(part, settings, limit) for part in parts]
    return _joined(list(run_jobs(_collect, jobs, settings.workers)))


def fit_encodings(points: VisitPoints) -> dict[str, npt.NDArray[np.generic]]:
    """Fit all encodings: `<name>_keys` and `<name>_values` as `Tables` has them."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    keys, rows = _frequent(points.keys["pages"])
    arrays["page_keys"], arrays["page_values"] = keys, _page_weights(points, rows)
    for name in ("landing", "source", "campaign"):
        keys, rows = _frequent(points.keys[name][:, np.newaxis])
        arrays[f"{name}_keys"], arrays[f"{name}_values"] = keys, _ratios(points, rows)
    keys, rows = _frequent(points.keys["items"])
    arrays["item_keys"], arrays["item_values"] = keys, _ratios(points, rows)
    return arrays


def _frequent(keys: KeyArray) -> tuple[KeyArray, sparse.csr_array]:
    """Keep keys of `MIN_VISITORS` points or more; gives them and who holds which, (n, keys)."""
    row, slot = np.nonzero(keys)
    held = keys[row, slot]
    distinct, column, counts = np.unique(held, return_inverse=True, return_counts=True)
    frequent = counts >= MIN_VISITORS
    place = np.cumsum(frequent) - 1
    kept = frequent[column]
    entries = (np.ones(int(kept.sum())), (row[kept], place[column[kept]]))
    shape = (len(keys), int(frequent.sum()))
    return distinct[frequent], sparse.coo_array(entries, shape=shape).tocsr()


def _page_weights(points: VisitPoints, rows: sparse.csr_array) -> FloatArray:
    depths = np.searchsorted(KS, points.k)
    ones = (np.ones(len(depths)), (np.arange(len(depths)), depths))
    depth = sparse.coo_array(ones, shape=(len(depths), len(KS))).tocsr()
    both = sparse.hstack([rows, depth]).tocsr()
    weight = _equal_by_k(points.k)
    values = np.zeros((1 + N_FOLDS, rows.shape[1]))
    for fold, used in enumerate(_fold_masks(points)):
        if rows.shape[1] and points.buys[used].any() and not points.buys[used].all():
            model = LogisticRegression(C=PENALTY, max_iter=200, tol=1e-3)
            model.fit(both[used], points.buys[used], sample_weight=weight[used])
            values[fold] = model.coef_[0, : rows.shape[1]]
    return values


def _ratios(points: VisitPoints, rows: sparse.csr_array) -> FloatArray:
    weight = _equal_by_k(points.k)
    values = np.zeros((1 + N_FOLDS, rows.shape[1]))
    for fold, used in enumerate(_fold_masks(points)):
        mass = weight * used
        share = (mass @ points.buys) / max(mass.sum(), 1e-12)
        if not 0 < share < 1:
            continue
        seen = rows.T @ mass
        bought = rows.T @ (mass * points.buys)
        rate = (bought + PRIOR_VISITS * share) / (seen + PRIOR_VISITS)
        values[fold] = np.log(rate / (1 - rate)) - np.log(share / (1 - share))
    return values


def _fold_masks(points: VisitPoints) -> list[npt.NDArray[np.bool_]]:
    everybody = np.ones(len(points.fold), dtype=np.bool_)
    return [everybody, *(points.fold != fold for fold in range(N_FOLDS))]


def _equal_by_k(k: npt.NDArray[np.int64]) -> FloatArray:
    """Weigh points so that each k has the same sum, and the mean weight is 1."""
    _, place, counts = np.unique(k, return_inverse=True, return_counts=True)
    weights: FloatArray = (len(k) / max(len(counts), 1)) / counts[place]
    return weights


def _collect(job: tuple[Path, ReplaySettings, int]) -> VisitPoints:
    part, settings, limit = job
    grouped = group_by_session(pq.read_table(part), settings.shop, settings.ids)
    moments = replay_moments(grouped, settings)
    labels = label_batches(grouped, moments)
    over = (moments["converted"] > 0) | labels.after_order
    points = np.flatnonzero(labels.batch_last & ~over & (moments["outcome"] > 0))
    seen = moments["events_seen"][points]
    visit = grouped.session_of[points] * (int(moments["epoch"].max(initial=0)) + 1)
    visit += moments["epoch"][points]
    found = [_at_k(grouped, settings, labels, points, seen, visit, k) for k in KS]
    joined = _joined(found)
    if len(joined.k) > limit:
        # Evenly, and the same ones each time.
        kept = np.sort(np.random.default_rng(0).choice(len(joined.k), limit, replace=False))
        joined = VisitPoints(
            joined.keys[kept], joined.buys[kept], joined.fold[kept], joined.k[kept]
        )
    return joined


def _at_k(
    grouped: GroupedEvents,
    settings: ReplaySettings,
    labels: BatchLabels,
    points: npt.NDArray[np.int64],
    seen: npt.NDArray[np.int64],
    visit: npt.NDArray[np.int64],
    k: int,
) -> VisitPoints:
    wanted = np.zeros(len(grouped.batch), dtype=np.bool_)
    wanted[points[prefix_weight(seen, visit, [k]) > 0]] = True
    keys = visit_keys(
        grouped.batch, grouped.order, grouped.starts, wanted, settings.expiry_us, settings.skew_us
    )
    folds = session_folds(grouped)[keys["session"]]
    return VisitPoints(keys, labels.converts_later[keys["event"]], folds, np.full(len(keys), k))


def _joined(found: Sequence[VisitPoints]) -> VisitPoints:
    return VisitPoints(
        keys=np.concatenate([points.keys for points in found]),
        buys=np.concatenate([points.buys for points in found]),
        fold=np.concatenate([points.fold for points in found]),
        k=np.concatenate([points.k for points in found]),
    )

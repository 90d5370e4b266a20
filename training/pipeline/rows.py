"""Decision rows from the feature store to arrays that models take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.events.hashing import hash_strings
from micromoment.features.catalogue import CONVERSION_FEATURES
from training.cluster import DaskCluster
from training.feature_store import FeatureWorkspace, training_parts
from training.models.rows import DecisionRows

_EPOCH_ORDINAL = 719_163  # date(1970, 1, 1).toordinal()
_ENTITY_COLUMNS = (
    "decision_id",
    "session_id",
    "visitor_id",
    "epoch",
    "feature_time",
    "events_seen",
    "label",
    "day",
)


_ORDER = [("session_id", "ascending"), ("feature_time", "ascending"), ("events_seen", "ascending")]


@dataclass(frozen=True, slots=True)
class VisitorSample:
    """A share of the visitors, with all their visits: always the same, by the hash of their ids."""

    share: float

    def __call__(self, points: pa.Table) -> npt.NDArray[np.bool_]:
        """Mark the decision points of those in it, shape (n,); who has no id counts by visit."""
        named = pc.fill_null(pc.not_equal(points["visitor_id"], ""), fill_value=False)
        who = hash_strings(pc.if_else(named, points["visitor_id"], points["session_id"]))
        # Mixed, because parts and folds go by bits of the same hash (Fibonacci hashing).
        mixed = (who ^ (who >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
        return mixed.astype(np.float64) < self.share * 2.0**64


def load_rows(
    workspace: FeatureWorkspace,
    outputs: Sequence[Path],
    *,
    censored_from: int,
    sample: VisitorSample | None = None,
    cluster: DaskCluster | None = None,
) -> DecisionRows:
    """Read the replayed decision points back through Feast, in the order of visits and events.

    Visits that were still undecided at `censored_from` (microseconds) are left out, whatever came
    of them: keeping those with an order alone would raise the base rate. Memory holds the rows
    twice for a moment; what they are made of is held part by part.
    """
    points, features = [], []
    columns = list(_ENTITY_COLUMNS)
    for table in training_parts(workspace, outputs, columns, keep=sample, cluster=cluster):
        known = table.filter(known_outcome(table, censored_from))
        features.append(feature_array(known))
        points.append(known.select(columns[1:]))
    return _in_order(pa.concat_tables(points), features)


def _in_order(points: pa.Table, features: list[npt.NDArray[np.float32]]) -> DecisionRows:
    order = pc.sort_indices(points, _ORDER).to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    matrix = np.empty((len(order), len(CONVERSION_FEATURES)), np.float32)
    end = len(order)
    while features:
        rows = features.pop()  # which frees it
        matrix[place[end - len(rows) : end]] = rows
        end -= len(rows)
    return _rows(points.take(pa.array(order)), matrix)


def to_rows(table: pa.Table) -> DecisionRows:
    """Turn a table of decision rows into arrays."""
    return _rows(table, feature_array(table))


def feature_array(table: pa.Table) -> npt.NDArray[np.float32]:
    """Take the features of conversion out of n decision rows, shape (n, features)."""
    features = np.empty((len(table), len(CONVERSION_FEATURES)), np.float32)
    for place, name in enumerate(CONVERSION_FEATURES):
        features[:, place] = table[name].to_numpy()
    return features


def _rows(table: pa.Table, features: npt.NDArray[np.float32]) -> DecisionRows:
    return DecisionRows(
        features=features,
        feature_names=CONVERSION_FEATURES,
        label=table["label"].to_numpy(),
        events_seen=table["events_seen"].to_numpy(),
        session=visit_codes(table),
        visitor=_codes(table["visitor_id"]),
        day=pc.cast(table["day"], pa.int32()).to_numpy() + _EPOCH_ORDINAL,
    )


def _visit_ids(table: pa.Table) -> pa.ChunkedArray:
    epoch = pc.cast(table["epoch"], pa.string())
    return pc.binary_join_element_wise(table["session_id"], epoch, ":")


def visit_codes(table: pa.Table) -> npt.NDArray[np.int64]:
    """Give each row a number of its visit (session id and epoch), from 0."""
    return _codes(_visit_ids(table))


def known_outcome(table: pa.Table, censored_from: int) -> pa.Array:
    """Mark the rows of visits that had ended by `censored_from`, microseconds since 1970."""
    visits = visit_codes(table)
    times = pc.cast(table["feature_time"], pa.int64()).to_numpy()
    late = np.zeros(int(visits.max(initial=-1)) + 1, dtype=np.bool_)
    late[visits[times >= censored_from]] = True
    return pa.array(~late[visits])


def _codes(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.int64]:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    codes: npt.NDArray[np.int32] = pc.dictionary_encode(column).indices.to_numpy()
    return codes.astype(np.int64)

"""Decision rows from the feature store to arrays that models take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.features.catalogue import CONVERSION_FEATURES
from training.feature_store import FeatureWorkspace, training_rows
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


def load_rows(
    workspace: FeatureWorkspace, outputs: Sequence[Path], *, censored_from: int
) -> DecisionRows:
    """Read the replayed decision points back through Feast, in the order of visits and events.

    Visits that were still undecided at `censored_from` (microseconds) are left out, whatever came
    of them: keeping those with an order alone would raise the base rate.
    """
    table = training_rows(workspace, list(outputs), list(_ENTITY_COLUMNS))
    order = pc.sort_indices(
        table,
        [("session_id", "ascending"), ("feature_time", "ascending"), ("events_seen", "ascending")],
    )
    table = table.take(order)
    return to_rows(table.filter(known_outcome(table, censored_from)))


def to_rows(table: pa.Table) -> DecisionRows:
    """Turn a table of decision rows into arrays."""
    features = np.empty((len(table), len(CONVERSION_FEATURES)), np.float32)
    for place, name in enumerate(CONVERSION_FEATURES):
        features[:, place] = table[name].to_numpy()
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

"""One row per event with the features of its decision point: the table that models learn from."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.events.identity import IdEncoder
from micromoment.events.record import RecordArray
from micromoment.events.shop import Shop
from micromoment.events.vocabulary import JourneyStage
from micromoment.features.catalogue import FEATURE_NAMES
from training.replay.labels import BatchLabels
from training.replay.sessions import GroupedEvents, encoded_ids, visitor_ids

DECISION_COLUMNS: Final = (
    "decision_id",
    "session_id",
    "visitor_id",
    "epoch",
    "event_id",
    "event_time",
    "feature_time",
    "source_seq",
    "batch_last",
    "events_seen",
    "converted",
    "after_order",
    "journey_stage",
    "cart_filled",
    "label",
    "day",
    "wanted",
)

_STAGES = [stage.name.lower() for stage in JourneyStage]


def decision_table(
    grouped: GroupedEvents,
    moments: RecordArray,
    features: RecordArray,
    labels: BatchLabels,
    shop: Shop,
    ids: IdEncoder | None,
    *,
    to_keep: bool = False,
) -> pa.Table:
    """Compose the rows of all n events, in the table's order: `DECISION_COLUMNS`, then features.

    Every row carries what holds at the end of its batch; `day` is the shop's, of the event.
    Visitors are encoded by `ids`, and visits too where the rows are `to_keep`: else they are named
    as in the events, to be found there.
    """
    table = grouped.table
    at_end = moments[labels.end]
    vectors = features[labels.end].view(np.float32).reshape(len(features), len(FEATURE_NAMES))
    seq = pc.cast(table["source_seq"], pa.string())
    offsets = shop.utc_offsets_minutes(grouped.batch.events["event_time"]).astype(np.int64)
    local = grouped.batch.events["event_time"] + offsets * 60_000_000
    visits = table["session_id"].combine_chunks()
    if to_keep:
        visits = encoded_ids(visits, ids)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "decision_id": pc.binary_join_element_wise(visits, seq.combine_chunks(), ":"),
        "session_id": visits,
        "visitor_id": visitor_ids(table, ids),
        "epoch": pa.array(at_end["epoch"].astype(np.int32)),
        "event_id": table["event_id"],
        "event_time": table["event_time"],
        "feature_time": pa.array(at_end["feature_time"]).cast(pa.timestamp("us", tz="UTC")),
        "source_seq": table["source_seq"],
        "batch_last": pa.array(labels.batch_last),
        "events_seen": pa.array(at_end["events_seen"]),
        "converted": pa.array(at_end["converted"] > 0),
        "after_order": pa.array(labels.after_order),
        "journey_stage": pa.array(_STAGES).take(pa.array(at_end["stage"])),
        "cart_filled": pa.array(at_end["cart"] > 0),
        "label": pa.array(labels.converts_later),
        "day": pa.array(local).cast(pa.timestamp("us")).cast(pa.date32(), safe=False),
        "wanted": table["wanted"],
    }
    for place, name in enumerate(FEATURE_NAMES):
        columns[name] = pa.array(np.ascontiguousarray(vectors[:, place]))
    return pa.table(columns)


def eligible(table: pa.Table) -> pa.ChunkedArray:
    """Mark the decision points that a model may learn from: ends of batches before the order."""
    over = pc.or_(table["converted"], table["after_order"])
    return pc.and_(table["batch_last"], pc.invert(over))

"""Events of a table grouped by session, decoded to records: what the replay kernels take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.events.arrow_codec import events_from_arrow
from micromoment.events.identity import IdEncoder
from micromoment.events.record import EventBatch
from micromoment.events.shop import Shop

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GroupedEvents:
    """n events of m sessions: session s owns `order[starts[s] : starts[s + 1]]`, by arrival."""

    table: pa.Table
    batch: EventBatch
    order: IntArray  # (n,)
    starts: IntArray  # (m + 1,)
    session_of: IntArray  # (n,), the session of each event

    @property
    def n_sessions(self) -> int:
        """Count the sessions."""
        return len(self.starts) - 1


def group_by_session(table: pa.Table, shop: Shop, ids: IdEncoder | None = None) -> GroupedEvents:
    """Group n rows in arrival order by `session_id` and decode them."""
    encoded = pc.dictionary_encode(table["session_id"].combine_chunks())
    session_of = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(session_of, kind="stable")
    counts = np.bincount(session_of, minlength=len(encoded.dictionary))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return GroupedEvents(table, events_from_arrow(table, shop, ids), order, starts, session_of)


def visitor_ids(table: pa.Table, ids: IdEncoder | None = None) -> pa.Array:
    """Give each row's encoded visitor id: the user's where known, else the anonymous one."""
    visitor = pc.coalesce(
        pc.if_else(pc.equal(table["user_id"], ""), None, table["user_id"]),
        table["anonymous_id"],
    ).combine_chunks()
    return encoded_ids(visitor, ids)


def encoded_ids(column: pa.Array, ids: IdEncoder | None) -> pa.Array:
    """Give a column of plain ids as they are stored; null stays, and all without an encoder."""
    if ids is None:
        return column
    encoded = pc.dictionary_encode(column)
    words = pa.array([ids.encode(word) for word in encoded.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(encoded.indices, words).dictionary_decode()


def last_of_batch(grouped: GroupedEvents) -> npt.NDArray[np.bool_]:
    """Mark each event that ends a batch: the last of its session with its `event_time`."""
    times = grouped.batch.events["event_time"][grouped.order]
    sessions = grouped.session_of[grouped.order]
    ends = np.ones(len(times), dtype=np.bool_)
    ends[:-1] = (times[1:] != times[:-1]) | (sessions[1:] != sessions[:-1])
    marks = np.empty(len(times), dtype=np.bool_)
    marks[grouped.order] = ends
    return marks

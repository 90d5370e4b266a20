"""Golden sessions: a few visits of the last training day that a server must score alike."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import NotEnoughDataError
from micromoment.events.hashing import hash_strings
from micromoment.events.identity import IdEncoder
from micromoment.features.user_snapshot import USER_SNAPSHOT
from training.consented import COLUMN, without_denied
from training.event_files import EventDays
from training.replay.run import FindUsers
from training.replay.sessions import visitor_ids

GOLDEN_SESSIONS: Final = 12
_MAX_EVENTS: Final = 60


def pick_golden(
    days: EventDays, find_users: FindUsers, ids: IdEncoder | None
) -> tuple[pa.Table, pa.Table]:
    """Pick visits that begin on the last day: some with an order, some long, some short.

    Events with analytics denied are left out. Returns their events (`EVENT_SCHEMA`) and one user
    row per session. The choice is by hash, so two runs choose alike.
    """
    last = days.files[days.days[-1]]
    sessions = _summary(
        without_denied(pq.read_table(last, columns=["session_id", "source_seq", "type", COLUMN]))
    )
    chosen = _choose(sessions)
    if not chosen:
        raise NotEnoughDataError("no visit begins on the last training day")
    # A day may be large: only the rows of the chosen visits are ever in memory whole.
    events = pq.read_table(last, filters=pc.is_in(pc.field("session_id"), pa.array(chosen)))
    events = without_denied(events)
    events = events.take(pc.sort_indices(events, [("session_id", "ascending")]))
    return events, _users(events, find_users, ids)


def _summary(table: pa.Table) -> pa.Table:
    bought = pc.equal(table["type"], "purchase")
    grouped = table.select(["session_id", "source_seq"]).append_column("bought", bought)
    summary = grouped.group_by("session_id").aggregate(
        [("bought", "max"), ("source_seq", "min"), ("source_seq", "count")]
    )
    whole = pc.and_(
        pc.equal(summary["source_seq_min"], 1),
        pc.less_equal(summary["source_seq_count"], _MAX_EVENTS),
    )
    return summary.filter(whole)


def _choose(sessions: pa.Table) -> list[str]:
    order = np.argsort(hash_strings(sessions["session_id"]), kind="stable")
    bought = sessions["bought_max"].to_numpy(zero_copy_only=False)[order]
    size = sessions["source_seq_count"].to_numpy()[order]
    median = np.median(size) if len(size) else 0
    share = GOLDEN_SESSIONS // 3
    kinds = (bought, ~bought & (size > median), ~bought & (size <= median))
    rows: list[npt.NDArray[np.int64]] = [order[np.flatnonzero(kind)[:share]] for kind in kinds]
    return sorted(sessions["session_id"].take(np.concatenate(rows)).to_pylist())


def _users(events: pa.Table, find_users: FindUsers, ids: IdEncoder | None) -> pa.Table:
    names = events["session_id"].to_pylist()
    first = [row for row, name in enumerate(names) if row == 0 or names[row - 1] != name]
    firsts = events.take(first)
    take_ups = pa.table(
        {"visitor_id": visitor_ids(firsts, ids), "take_up_time": firsts["event_time"]}
    )
    rows, status = find_users(take_ups)
    columns = {"session_id": firsts["session_id"], "status": pa.array(status.astype(np.int8))}
    for name in USER_SNAPSHOT.names or ():
        columns[name] = pa.array(np.ascontiguousarray(rows[name]))
    return pa.table(columns)

"""Labels of decision points: is there a purchase later in the visit?

A visit is a session id between two gaps of `session_expiry` (its epoch). A batch, the events of one
session with one `event_time`, is one decision point: its rows share what holds at its end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from micromoment.events.record import RecordArray
from micromoment.events.vocabulary import EventType
from training.replay.sessions import GroupedEvents, last_of_batch

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class BatchLabels:
    """Per event, shape (n,) each; `end` is the row of the batch's last event."""

    batch_last: BoolArray
    end: IntArray
    converts_later: BoolArray
    after_order: BoolArray  # some event of the batch stems from an order's confirmation page


def batch_ends(grouped: GroupedEvents) -> tuple[BoolArray, IntArray]:
    """Mark each batch's last event and give, for each event, the row of its batch's last."""
    last = last_of_batch(grouped)
    last_in_order = last[grouped.order]
    # In order, the end of an event's batch is the next place that is marked.
    places = np.where(last_in_order, np.arange(len(last)), len(last))
    next_end = np.minimum.accumulate(places[::-1])[::-1]
    end = np.empty(len(last), dtype=np.int64)
    end[grouped.order] = grouped.order[next_end]
    return last, end


def label_batches(grouped: GroupedEvents, moments: RecordArray) -> BatchLabels:
    """Label n events; `moments` are their `MOMENT` records from the replay."""
    last, end = batch_ends(grouped)
    visits = visit_ids(grouped, moments)
    bought = grouped.batch.events["type"] == EventType.PURCHASE
    bought &= moments["outcome"] > 0
    in_visit = np.bincount(visits, weights=bought)[visits]
    so_far = np.empty(len(last))
    running = np.cumsum(bought[grouped.order])
    before_visit = running - bought[grouped.order]
    visit_in_order = visits[grouped.order]
    begins = np.ones(len(last), dtype=np.bool_)
    begins[1:] = visit_in_order[1:] != visit_in_order[:-1]
    offsets = before_visit[begins][np.cumsum(begins) - 1]
    so_far[grouped.order] = running - offsets
    after_order = _any_in_batch(end, moments["after_order"] > 0)
    # Both as of the batch's end: a repeated event before it may still count to the visit before.
    return BatchLabels(last, end, in_visit[end] > so_far[end], after_order)


def visit_ids(grouped: GroupedEvents, moments: RecordArray) -> IntArray:
    """Number the visits from 0 and give each event's, shape (n,)."""
    pairs = grouped.session_of * (int(moments["epoch"].max(initial=0)) + 1) + moments["epoch"]
    return np.unique(pairs, return_inverse=True)[1]


def _any_in_batch(end: IntArray, marks: BoolArray) -> BoolArray:
    found = np.zeros(len(end), dtype=np.bool_)
    found[end[marks]] = True
    return found[end]

"""Leaves out events from before their visitor was erased: they bring nobody back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from micromoment.events.proto_codec import micros_of
from micromoment.events.record import EventBatch
from micromoment.stores.tombstones import Tombstones
from micromoment.transport.visitors import VisitCall
from micromoment.v1 import events_pb2 as pb


def without_late(visit: VisitCall, tombstones: Tombstones) -> VisitCall:
    """Give a call without its events from before the erasure, and count those.

    A call of which none is left is answered from its own events, and neither kept nor logged.
    """
    call = visit.call
    until = tombstones.until(visit.possible_keys(), call.key.tenant, visit.visitor_ids)
    times = call.batch.events["event_time"]
    late = times <= until
    if visit.is_late or not late.any():
        return visit
    visit.late += int(np.count_nonzero(late))
    if late.all():
        visit.is_late = True
        visit.call = replace(call, dry_run=True, first_sequence=None)
        return visit
    kept = np.flatnonzero(~late).tolist()
    visit.call = replace(
        call,
        batch=EventBatch(call.batch.events[kept], call.batch.items),
        event_ids=tuple([call.event_ids[place] for place in kept]),
        first_sequence=None if late[0] else call.first_sequence,
    )
    visit.events = [visit.events[place] for place in kept]
    if visit.consent is not None:
        visit.consent = visit.consent.only(kept)
    return visit


def not_late(
    events: Iterable[pb.Event], tombstones: Tombstones, tenant: str, visitor_ids: Iterable[str]
) -> list[pb.Event]:
    """Give those events of a visitor, from outside a visit, that came after the erasure."""
    until = tombstones.until((), tenant, visitor_ids)
    return [event for event in events if not until or micros_of(event.event_time) > until]

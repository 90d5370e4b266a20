"""Rows of the event log for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from micromoment.stores.log_rows import LoggedVisit, LogRow, RowKind
from micromoment.v1 import events_pb2
from micromoment.v1 import log_pb2 as pb

START_S = 1_700_000_000.0


def a_row(
    session_id: str, *, kind: RowKind = RowKind.WENT_ON, received_s: float = 1_000.0
) -> LogRow:
    """Make a row that was received so many seconds after 1970."""
    return LogRow(round(received_s * 1e6), kind, "default", session_id, "v", b"body")


def a_visit(
    position: int,
    session_id: str,
    *event_ids: str,
    kind: RowKind = RowKind.WENT_ON,
    received_s: float = 0.0,
    events: Sequence[events_pb2.Event] = (),
    visitor_id: str = "v",
    **fields: object,
) -> LoggedVisit:
    """Make a logged call with page views of these ids, or with `events`.

    `received_s` counts from `START_S`, as do the page views' times; `fields` are the call's.
    """
    received_us = round((START_S + received_s) * 1e6)
    if kind in {RowKind.GAP, RowKind.ERASED}:
        return LoggedVisit(position, received_us, kind, "default", session_id, "", b"")
    own = events or [_page_view(event_id, received_us) for event_id in event_ids]
    known = {
        "bundle": "shop:1",
        "session_expiry_us": 1_800_000_000,
        "max_clock_skew_us": 300_000_000,
        "time_zone": "Europe/Berlin",
        "events": own,
    }
    body = pb.LoggedCall(**(known | fields)).SerializeToString()  # type: ignore[arg-type] # a test's own
    return LoggedVisit(position, received_us, kind, "default", session_id, visitor_id, body)


def as_rows(visits: Iterable[LoggedVisit]) -> list[LogRow]:
    """Give what is appended for logged calls."""
    return [
        LogRow(one.received_time_us, one.kind, one.tenant, one.session_id, one.visitor_id, one.body)
        for one in visits
    ]


def _page_view(event_id: str, time_us: int) -> events_pb2.Event:
    view = events_pb2.Event(event_id=event_id, type=events_pb2.EVENT_TYPE_PAGE_VIEW)
    view.event_time.FromMicroseconds(time_us)
    return view

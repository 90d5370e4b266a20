"""Rows of an event file as protobuf messages, the way a storefront's backend would send them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.events.vocabulary import (
    ConsentState,
    DeviceType,
    EventType,
    PageType,
    ReferrerMedium,
    names,
)
from micromoment.v1 import events_pb2 as pb

Row = dict[str, Any]

_TYPES = names(EventType)
_PAGES = names(PageType)
_DEVICES = names(DeviceType)
_MEDIA = names(ReferrerMedium)
_CONSENT = names(ConsentState)
_SAME_NAME = (
    "value_micros",
    "utc_offset_minutes",
    "scroll_percent",
    "dwell_ms",
    "hover_ms",
    "engagement_ms",
    "search_terms_hash",
)


def event_message(row: Row) -> pb.Event:
    """Turn one row of `EVENT_SCHEMA`, as a dictionary, into a message."""
    event = pb.Event(
        event_id=row["event_id"],
        type=pb.EventType.ValueType(_TYPES[row["type"]]),
        event_time=_timestamp(row["event_time"]),
        items=[_item(item) for item in row["items"] or ()],
        order_id=row["order_id"] or "",
        currency=row["currency"] or "",
        device=pb.DeviceType.ValueType(_DEVICES.get(row["device"], 0)),
        locale=row["locale"] or "",
        is_bot=bool(row["is_bot"]),
        attributes=dict(row["attributes"] or ()),
    )
    for name in _SAME_NAME:
        if row[name] is not None:
            setattr(event, name, row[name])
    if row["page_id"] or row["page_type"] or row["page_title"]:
        event.page.page_id = row["page_id"] or ""
        event.page.type = pb.PageType.ValueType(_PAGES.get(row["page_type"], 0))
        event.page.title = row["page_title"] or ""
    if row["referrer_medium"] or row["referrer_campaign"] or row["referrer_source"]:
        event.referrer.medium = pb.ReferrerMedium.ValueType(_MEDIA.get(row["referrer_medium"], 0))
        event.referrer.campaign = row["referrer_campaign"] or ""
        event.referrer.source = row["referrer_source"] or ""
    _set_consent(event, row)
    return event


def _set_consent(event: pb.Event, row: Row) -> None:
    for purpose in ("analytics", "personalization", "ads"):
        state = row[f"consent_{purpose}"]
        if state is not None:
            setattr(event.consent, purpose, _CONSENT[state])
    if row["consent_gpc"]:
        event.consent.global_privacy_control = True


def _item(row: Row) -> pb.Item:
    item = pb.Item(
        item_id=row["item_id"], category_path=row["category_path"] or (), brand=row["brand"] or ""
    )
    for name in ("price_micros", "quantity", "position", "on_sale"):
        if row[name] is not None:
            setattr(item, name, row[name])
    return item


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp

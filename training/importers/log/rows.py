"""Logged events as rows of `EVENT_SCHEMA`, bit for bit."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from micromoment.events.proto_codec import micros_of
from micromoment.events.vocabulary import (
    ConsentState,
    DeviceType,
    EventType,
    PageType,
    ReferrerMedium,
)
from micromoment.v1 import events_pb2 as pb

Row = dict[str, Any]

_MEASURED: Final = (
    "value_micros",
    "utc_offset_minutes",
    "scroll_percent",
    "dwell_ms",
    "hover_ms",
    "engagement_ms",
)
_ITEM_MEASURED: Final = ("price_micros", "quantity", "position", "on_sale")


def event_row(
    event: pb.Event,
    *,
    session_id: str,
    source_seq: int,
    visitor_id: str,
    identified: bool,
    received_time_us: int,
) -> Row:
    """Turn an event into a row; times are in microseconds since 1970, ids are as stored."""
    row: Row = {
        "event_id": event.event_id,
        "type": EventType(event.type).name.lower(),
        "event_time": micros_of(event.event_time),
        "received_time": received_time_us,
        "session_id": session_id,
        "source_seq": source_seq,
        "user_id" if identified else "anonymous_id": visitor_id or None,
        "items": [_item(item) for item in event.items] or None,
        "order_id": event.order_id or None,
        "currency": event.currency or None,
        "device": _word(DeviceType, event.device),
        "locale": event.locale or None,
        "search_terms_hash": event.search_terms_hash or None,
        "is_bot": event.is_bot or None,
        "attributes": list(event.attributes.items()) or None,
    }
    for name in _MEASURED:
        if event.HasField(name):
            row[name] = getattr(event, name)
    if event.HasField("page"):
        row["page_id"] = event.page.page_id or None
        row["page_type"] = _word(PageType, event.page.type)
        row["page_title"] = event.page.title or None
    if event.HasField("referrer"):
        row["referrer_medium"] = _word(ReferrerMedium, event.referrer.medium)
        row["referrer_campaign"] = event.referrer.campaign or None
        row["referrer_source"] = event.referrer.source or None
    if event.HasField("consent"):
        for purpose in ("analytics", "personalization", "ads"):
            row[f"consent_{purpose}"] = _word(ConsentState, getattr(event.consent, purpose))
        row["consent_gpc"] = event.consent.global_privacy_control or None
    return row


def _item(item: pb.Item) -> Row:
    row: Row = {
        "item_id": item.item_id,
        "category_path": list(item.category_path) or None,
        "brand": item.brand or None,
    }
    for name in _ITEM_MEASURED:
        if item.HasField(name):
            row[name] = getattr(item, name)
    return row


def _word(words: type[IntEnum], number: int) -> str | None:
    return words(number).name.lower() if number else None

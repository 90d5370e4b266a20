"""Canonical events from protobuf to records, one request at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from micromoment.events.categories import category_key, top_category_key
from micromoment.events.hashing import hash_id
from micromoment.events.record import (
    FLAG_ADS_DENIED,
    FLAG_ANALYTICS_DENIED,
    FLAG_BOT,
    FLAG_FOREIGN_CURRENCY,
    FLAG_PERSONALIZATION_DENIED,
    FLAG_PRIVACY_CONTROL,
    MISSING_MICROS,
    EventBatch,
    empty_batch,
)
from micromoment.events.shop import Shop
from micromoment.v1 import events_pb2 as pb


def events_from_proto(
    messages: Sequence[pb.Event], visitor: int, user: int, received_time_us: int, shop: Shop
) -> EventBatch:
    """Decode n validated events of one visitor to n records.

    `visitor` and `user` are hashes of encoded ids (0: unknown), `received_time_us` is the server's
    clock in microseconds since 1970.
    """
    batch = empty_batch(len(messages), sum(len(message.items) for message in messages))
    first_item = 0
    for index, message in enumerate(messages):
        record = batch.events[index]
        foreign = not shop.accepts(message.currency)
        record["first_item"] = first_item
        record["visitor"] = visitor
        record["user"] = user
        record["received_time"] = received_time_us
        _fill_event(record, message, foreign, shop)
        for item in message.items:
            _fill_item(batch.items[first_item], item, foreign)
            first_item += 1
    return batch


def micros_of(time: object) -> int:
    """Give a protobuf Timestamp as microseconds since 1970; finer digits are dropped."""
    return time.seconds * 1_000_000 + time.nanos // 1_000  # type: ignore[attr-defined, no-any-return]


def _fill_event(record: np.void, event: pb.Event, foreign: bool, shop: Shop) -> None:
    time_us = event.event_time.seconds * 1_000_000 + event.event_time.nanos // 1_000
    record["event_time"] = time_us
    record["event_key"] = hash_id(event.event_id)
    record["type"] = event.type
    record["device"] = event.device
    record["n_items"] = len(event.items)
    record["flags"] = _flags(event, foreign)
    record["order"] = hash_id(event.order_id)
    record["locale"] = hash_id(event.locale)
    if event.HasField("page"):
        record["page"] = hash_id(event.page.page_id)
        record["title"] = hash_id(event.page.title)
        record["page_type"] = event.page.type
    if event.HasField("referrer"):
        record["medium"] = event.referrer.medium
        record["campaign"] = hash_id(event.referrer.campaign)
        record["source"] = hash_id(event.referrer.source)
    known_value = event.HasField("value_micros") and not foreign
    record["value"] = event.value_micros if known_value else MISSING_MICROS
    record["dwell_ms"] = event.dwell_ms if event.HasField("dwell_ms") else -1
    record["hover_ms"] = event.hover_ms if event.HasField("hover_ms") else -1
    record["engagement_ms"] = event.engagement_ms if event.HasField("engagement_ms") else -1
    record["scroll"] = event.scroll_percent if event.HasField("scroll_percent") else np.nan
    record["search_terms"] = event.search_terms_hash
    own_offset = event.HasField("utc_offset_minutes")
    record["utc_offset"] = (
        event.utc_offset_minutes if own_offset else shop.utc_offset_minutes(time_us)
    )


def _fill_item(record: np.void, item: pb.Item, foreign: bool) -> None:
    record["item"] = hash_id(item.item_id)
    record["category"] = category_key(item.category_path)
    record["top_category"] = top_category_key(item.category_path)
    record["brand"] = hash_id(item.brand)
    known_price = item.HasField("price_micros") and not foreign
    record["price"] = item.price_micros if known_price else MISSING_MICROS
    record["quantity"] = item.quantity
    record["position"] = item.position
    record["on_sale"] = int(item.on_sale) if item.HasField("on_sale") else -1


def _flags(event: pb.Event, foreign: bool) -> int:
    flags = FLAG_FOREIGN_CURRENCY if foreign else 0
    if event.is_bot:
        flags |= FLAG_BOT
    if event.HasField("consent"):
        consent = event.consent
        if consent.analytics == pb.CONSENT_STATE_DENIED:
            flags |= FLAG_ANALYTICS_DENIED
        if consent.personalization == pb.CONSENT_STATE_DENIED:
            flags |= FLAG_PERSONALIZATION_DENIED
        if consent.ads == pb.CONSENT_STATE_DENIED:
            flags |= FLAG_ADS_DENIED
        if consent.global_privacy_control:
            flags |= FLAG_PRIVACY_CONTROL
    return flags

"""Canonical events from protobuf to records, one request at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from micromoment.events.categories import category_key, top_category_key
from micromoment.events.field_rules import text_is_too_long
from micromoment.events.hashing import cached_hash, hash_id
from micromoment.events.limits import (
    FIRST_SECOND,
    LAST_SECOND,
    MAX_ATTRIBUTES,
    MAX_CATEGORY_LEVELS,
    MAX_DURATION_MS,
    MAX_ITEMS,
    MAX_NANOS,
    MAX_POSITION,
    MAX_QUANTITY,
    MAX_TEXT_BYTES,
    MAX_UTC_OFFSET,
)
from micromoment.events.record import (
    EVENT,
    FLAG_ADS_DENIED,
    FLAG_ADS_GRANTED,
    FLAG_ANALYTICS_DENIED,
    FLAG_BOT,
    FLAG_FOREIGN_CURRENCY,
    FLAG_PERSONALIZATION_DENIED,
    FLAG_PERSONALIZATION_GRANTED,
    FLAG_PRIVACY_CONTROL,
    ITEM,
    MISSING_MICROS,
    EventBatch,
    empty_batch,
    packing_of,
)
from micromoment.events.shop import Shop, is_currency
from micromoment.v1 import events_pb2 as pb

NO_EVENTS: Final = empty_batch(0, 0)

_NAN: Final = float("nan")
# A character takes 1 to 4 bytes: texts that have so few together need no closer look.
SHORT: Final = MAX_TEXT_BYTES // 4
_ALL_PERCENT: Final = 100
_TYPES: Final = frozenset(pb.EventType.values())
_PAGES: Final = frozenset(pb.PageType.values())
_MEDIA: Final = frozenset(pb.ReferrerMedium.values())
_DEVICES: Final = frozenset(pb.DeviceType.values())
# Flags by answer: nothing said, granted, denied. That analytics are granted has no flag.
_ANALYTICS_FLAGS: Final = {0: 0, 1: 0, 2: FLAG_ANALYTICS_DENIED}
_PERSONALIZATION_FLAGS: Final = {
    0: 0,
    1: FLAG_PERSONALIZATION_GRANTED,
    2: FLAG_PERSONALIZATION_DENIED,
}
_ADS_FLAGS: Final = {0: 0, 1: FLAG_ADS_GRANTED, 2: FLAG_ADS_DENIED}
_EVENT = packing_of(EVENT)
_ITEM = packing_of(ITEM)


class OutsideContractError(Exception):
    """An event breaks the contract; `validation` says how."""


def events_from_proto(
    messages: Sequence[pb.Event], visitor: int, user: int, received_time_us: int, shop: Shop
) -> EventBatch:
    """Decode n events of one visitor to n records.

    `visitor` and `user` are hashes of encoded ids (0: unknown), `received_time_us` is the server's
    clock in microseconds since 1970. Raises `OutsideContractError` exactly where the rules of
    `validation` object to an event: most don't, and walking the rules takes several times as long.
    """
    if not messages:
        return NO_EVENTS
    events = bytearray()
    items = bytearray()
    n_items = 0
    says_consent = False
    head = (received_time_us, visitor, user)
    for message in messages:
        currency = message.currency
        if currency and not is_currency(currency):
            raise OutsideContractError
        foreign = not shop.accepts(currency)
        lines = message.items
        flags = FLAG_FOREIGN_CURRENCY if foreign else 0
        if message.HasField("consent"):
            says_consent = True
            flags |= consent_flags(message.consent)
        events += _event(message, foreign, flags, shop, head, (n_items, len(lines)))
        for line in lines:
            items += _item(line, foreign)
            n_items += 1
    return EventBatch(
        np.frombuffer(events, EVENT),
        np.frombuffer(items, ITEM) if n_items else NO_EVENTS.items,
        says_consent,
    )


def micros_of(time: object) -> int:
    """Give a protobuf Timestamp as microseconds since 1970; finer digits are dropped."""
    return time.seconds * 1_000_000 + time.nanos // 1_000  # type: ignore[attr-defined, no-any-return]


def _event(
    event: pb.Event,
    foreign: bool,
    flags: int,
    shop: Shop,
    head: tuple[int, int, int],
    lines: tuple[int, int],
) -> bytes:
    # Packed in one go: to fill the fields of a record one by one takes ten times as long.
    has = event.HasField
    event_id, kind, device, time = event.event_id, event.type, event.device, event.event_time
    seconds, nanos = time.seconds, time.nanos
    order_id, locale = event.order_id, event.locale
    page_id = title = campaign = source = ""
    page_type = medium = 0
    if has("page"):
        page = event.page
        page_id, title, page_type = page.page_id, page.title, page.type
    if has("referrer"):
        referrer = event.referrer
        medium, campaign, source = referrer.medium, referrer.campaign, referrer.source
    value = event.value_micros
    dwell, hover, engagement = event.dwell_ms, event.hover_ms, event.engagement_ms
    scroll, offset = event.scroll_percent, event.utc_offset_minutes
    if not (
        event_id
        and kind
        and kind in _TYPES
        and FIRST_SECOND <= seconds <= LAST_SECOND
        and 0 <= nanos <= MAX_NANOS
        and value >= 0
        and 0 <= dwell <= MAX_DURATION_MS
        and 0 <= hover <= MAX_DURATION_MS
        and 0 <= engagement <= MAX_DURATION_MS
        and 0 <= scroll <= _ALL_PERCENT
        and -MAX_UTC_OFFSET <= offset <= MAX_UTC_OFFSET
        and device in _DEVICES
        and page_type in _PAGES
        and medium in _MEDIA
        and lines[1] <= MAX_ITEMS
    ) or (seconds == LAST_SECOND and nanos):
        raise OutsideContractError
    if event.sequence < 1 and has("sequence"):
        raise OutsideContractError
    if (
        len(event_id)
        + len(order_id)
        + len(locale)
        + len(page_id)
        + len(title)
        + len(campaign)
        + len(source)
    ) > SHORT:
        check_texts(event_id, order_id, locale, page_id, title, campaign, source)
    attributes = event.attributes
    if attributes:
        _check_attributes(attributes)
    time_us = seconds * 1_000_000 + nanos // 1_000
    received_time_us, visitor, user = head
    return _EVENT.pack(
        time_us,
        received_time_us,
        hash_id(event_id),
        visitor,
        user,
        cached_hash(page_id),
        cached_hash(title),
        cached_hash(campaign),
        cached_hash(source),
        cached_hash(locale),
        event.search_terms_hash,
        hash_id(order_id),
        value if not foreign and (value or has("value_micros")) else MISSING_MICROS,
        dwell if dwell or has("dwell_ms") else -1,
        hover if hover or has("hover_ms") else -1,
        engagement if engagement or has("engagement_ms") else -1,
        scroll if scroll or has("scroll_percent") else _NAN,
        *lines,
        offset if offset or has("utc_offset_minutes") else shop.utc_offset_minutes(time_us),
        kind,
        page_type,
        device,
        medium,
        flags | FLAG_BOT if event.is_bot else flags,
    )


def _item(item: pb.Item, foreign: bool) -> bytes:
    has = item.HasField
    item_id, brand, path = item.item_id, item.brand, tuple(item.category_path)
    price, quantity, position = item.price_micros, item.quantity, item.position
    if not (
        item_id
        and price >= 0
        and quantity <= MAX_QUANTITY
        and position <= MAX_POSITION
        and len(path) <= MAX_CATEGORY_LEVELS
    ):
        raise OutsideContractError
    if (quantity < 1 and has("quantity")) or (position < 1 and has("position")):
        raise OutsideContractError
    if len(item_id) + len(brand) > SHORT:
        check_texts(item_id, brand)
    return _ITEM.pack(
        cached_hash(item_id),
        *_keys_of_path(path),
        cached_hash(brand),
        price if not foreign and (price or has("price_micros")) else MISSING_MICROS,
        quantity,
        position,
        item.on_sale if has("on_sale") else -1,
    )


@lru_cache(maxsize=16_384)
def _keys_of_path(path: tuple[str, ...]) -> tuple[int, int]:
    """Check a path's texts and give its keys, once for each path that comes again and again."""
    check_texts(*path)
    return category_key(path), top_category_key(path)


def check_texts(*texts: str) -> None:
    """Raise `OutsideContractError` for a text of more than 256 bytes."""
    for one in texts:
        if text_is_too_long(one):
            raise OutsideContractError


def _check_attributes(attributes: Mapping[str, str]) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        raise OutsideContractError
    for key, value in attributes.items():
        check_texts(key, value)


def consent_flags(consent: pb.Consent) -> int:
    """Give what a consent says as flags of an event. Raises `OutsideContractError`."""
    flags = FLAG_PRIVACY_CONTROL if consent.global_privacy_control else 0
    try:
        return (
            flags
            | _ANALYTICS_FLAGS[consent.analytics]
            | _PERSONALIZATION_FLAGS[consent.personalization]
            | _ADS_FLAGS[consent.ads]
        )
    except KeyError:
        raise OutsideContractError from None

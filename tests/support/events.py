"""One event told twice: as the protobuf message and as the Arrow row that mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import pyarrow as pa

from micromoment.events.arrow_codec import events_from_arrow
from micromoment.events.identity import IdEncoder
from micromoment.events.record import EventBatch
from micromoment.events.schema import EVENT_SCHEMA
from micromoment.events.shop import Shop
from micromoment.events.vocabulary import (
    ConsentState,
    DeviceType,
    EventType,
    PageType,
    ReferrerMedium,
)
from micromoment.v1 import events_pb2 as pb

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 24 * 60 * MINUTE
START_US: Final = 1_714_557_600 * SECOND  # 2024-05-01 10:00 UTC, a Wednesday
PLAIN_SHOP: Final = Shop()


@dataclass(frozen=True, kw_only=True, slots=True)
class AnItem:
    """One product line; None and the empty string stand for missing."""

    item_id: str = "sku"
    category_path: tuple[str, ...] = ()
    brand: str = ""
    price_micros: int | None = None
    quantity: int | None = None
    position: int | None = None
    on_sale: bool | None = None

    def to_proto(self) -> pb.Item:
        """Tell it as a message."""
        return pb.Item(
            item_id=self.item_id,
            category_path=self.category_path,
            brand=self.brand,
            price_micros=self.price_micros,
            quantity=self.quantity,
            position=self.position,
            on_sale=self.on_sale,
        )

    def to_row(self) -> dict[str, object]:
        """Tell it as a struct of `ITEM_TYPE`."""
        return {
            "item_id": self.item_id,
            "category_path": list(self.category_path) or None,
            "brand": self.brand or None,
            "price_micros": self.price_micros,
            "quantity": self.quantity,
            "position": self.position,
            "on_sale": self.on_sale,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class AnEvent:
    """One event; None and the empty string stand for missing, times are microseconds since 1970.

    Who the visitor is and when the event was received stands in a request, but in a row of Arrow.
    """

    event_id: str = "e1"
    type: EventType = EventType.PAGE_VIEW
    event_time: int = START_US
    received_time: int | None = None
    session_id: str = "s1"
    anonymous_id: str = "a1"
    user_id: str = ""
    sequence: int = 1
    items: tuple[AnItem, ...] = ()
    order_id: str = ""
    value_micros: int | None = None
    currency: str = ""
    page_id: str = ""
    page_type: PageType = PageType.UNSPECIFIED
    page_title: str = ""
    medium: ReferrerMedium = ReferrerMedium.UNSPECIFIED
    campaign: str = ""
    source: str = ""
    device: DeviceType = DeviceType.UNSPECIFIED
    locale: str = ""
    utc_offset_minutes: int | None = None
    scroll_percent: float | None = None
    dwell_ms: int | None = None
    hover_ms: int | None = None
    engagement_ms: int | None = None
    search_terms_hash: int | None = None
    analytics: ConsentState = ConsentState.UNSPECIFIED
    personalization: ConsentState = ConsentState.UNSPECIFIED
    ads: ConsentState = ConsentState.UNSPECIFIED
    privacy_control: bool = False
    is_bot: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)

    def to_proto(self) -> pb.Event:
        """Tell it as a message."""
        event = pb.Event(
            event_id=self.event_id,
            type=pb.EventType.ValueType(self.type),
            sequence=self.sequence,
            items=[item.to_proto() for item in self.items],
            order_id=self.order_id,
            value_micros=self.value_micros,
            currency=self.currency,
            device=pb.DeviceType.ValueType(self.device),
            locale=self.locale,
            utc_offset_minutes=self.utc_offset_minutes,
            scroll_percent=self.scroll_percent,
            dwell_ms=self.dwell_ms,
            hover_ms=self.hover_ms,
            engagement_ms=self.engagement_ms,
            search_terms_hash=self.search_terms_hash,
            is_bot=self.is_bot,
            attributes=self.attributes,
        )
        event.event_time.FromMicroseconds(self.event_time)
        if self.page_id or self.page_type or self.page_title:
            kind = pb.PageType.ValueType(self.page_type)
            event.page.CopyFrom(pb.Page(page_id=self.page_id, type=kind, title=self.page_title))
        if self.medium or self.campaign or self.source:
            medium = pb.ReferrerMedium.ValueType(self.medium)
            referrer = pb.Referrer(medium=medium, campaign=self.campaign, source=self.source)
            event.referrer.CopyFrom(referrer)
        if self.analytics or self.personalization or self.ads or self.privacy_control:
            event.consent.CopyFrom(
                pb.Consent(
                    analytics=pb.ConsentState.ValueType(self.analytics),
                    personalization=pb.ConsentState.ValueType(self.personalization),
                    ads=pb.ConsentState.ValueType(self.ads),
                    global_privacy_control=self.privacy_control,
                )
            )
        return event

    def to_row(self) -> dict[str, Any]:
        """Tell it as a row of `EVENT_SCHEMA`."""
        return {
            "event_id": self.event_id,
            "type": self.type.name.lower(),
            "event_time": self.event_time,
            "received_time": self.received_time,
            "session_id": self.session_id,
            "source_seq": self.sequence,
            "anonymous_id": self.anonymous_id or None,
            "user_id": self.user_id or None,
            "items": [item.to_row() for item in self.items] or None,
            "order_id": self.order_id or None,
            "value_micros": self.value_micros,
            "currency": self.currency or None,
            "page_id": self.page_id or None,
            "page_type": _word(self.page_type),
            "page_title": self.page_title or None,
            "referrer_medium": _word(self.medium),
            "referrer_campaign": self.campaign or None,
            "referrer_source": self.source or None,
            "device": _word(self.device),
            "locale": self.locale or None,
            "utc_offset_minutes": self.utc_offset_minutes,
            "scroll_percent": self.scroll_percent,
            "dwell_ms": self.dwell_ms,
            "hover_ms": self.hover_ms,
            "engagement_ms": self.engagement_ms,
            "search_terms_hash": self.search_terms_hash,
            "consent_analytics": _word(self.analytics),
            "consent_personalization": _word(self.personalization),
            "consent_ads": _word(self.ads),
            "consent_gpc": self.privacy_control or None,
            "is_bot": self.is_bot or None,
            "attributes": list(self.attributes.items()) or None,
        }


# Reads as what it gives: `an_event(type=...)` is a page view of an anonymous visitor by default.
an_event: Final = AnEvent


def to_table(events: Sequence[AnEvent]) -> pa.Table:
    """Tell events as a table of `EVENT_SCHEMA`."""
    return pa.Table.from_pylist([event.to_row() for event in events], EVENT_SCHEMA)


def to_batch(
    events: Sequence[AnEvent], shop: Shop = PLAIN_SHOP, ids: IdEncoder | None = None
) -> EventBatch:
    """Tell events as records."""
    return events_from_arrow(to_table(events), shop, ids)


def _word(member: IntEnum) -> str | None:
    return member.name.lower() if member else None

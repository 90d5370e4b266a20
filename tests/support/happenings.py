"""Canonical events written from a few words each: what snapshots and the feature store are fed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.schema import EVENT_SCHEMA
from micromoment.events.shop import Shop


@dataclass(frozen=True, slots=True)
class Happening:
    """One event in as many words as user snapshots look at."""

    at: datetime
    user_id: str | None = None
    anonymous_id: str | None = None
    type: str = "page_view"
    session_id: str = "s"
    order_id: str | None = None
    value_micros: int | None = None
    currency: str | None = None
    on_sale: bool | None = None  # of its one product
    engagement_ms: int | None = None
    is_bot: bool | None = None
    consent_analytics: str | None = None
    source_seq: int | None = None  # of the session; its place among all where not given

    @property
    def visitor(self) -> str | None:
        """The id that the event is counted under."""
        return self.user_id or self.anonymous_id or None


def moment(day: date, hour: int = 12, minute: int = 0, *, shop: Shop) -> datetime:
    """Give a moment by the shop's clock, in UTC."""
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=shop.zone)
    return local.astimezone(UTC)


def write_events(folder: Path, happenings: Iterable[Happening], shop: Shop) -> Path:
    """Write one file per shop-day, events in the order given; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    by_day: dict[date, list[dict[str, object]]] = {}
    for number, one in enumerate(happenings):
        row = {
            "event_id": f"e{number}",
            "event_time": one.at,
            "source_seq": number if one.source_seq is None else one.source_seq,
            "type": one.type,
            "session_id": one.session_id,
            "anonymous_id": one.anonymous_id,
            "user_id": one.user_id,
            "order_id": one.order_id,
            "value_micros": one.value_micros,
            "currency": one.currency,
            "items": None if one.on_sale is None else [{"item_id": "p", "on_sale": one.on_sale}],
            "engagement_ms": one.engagement_ms,
            "is_bot": one.is_bot,
            "consent_analytics": one.consent_analytics,
        }
        by_day.setdefault(one.at.astimezone(shop.zone).date(), []).append(row)
    for day, rows in by_day.items():
        table = pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)
        pq.write_table(table, folder / f"{day.isoformat()}.parquet")
    return folder

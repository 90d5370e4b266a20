"""The canonical event as an Arrow schema: the columns of every event file.

Files hold one shop-day each, in arrival order. `docs/events.md` describes the columns; validation
of values is the importers' part, so a file that has this schema can be replayed as it is.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

ITEM_TYPE: Final = pa.struct(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("category_path", pa.list_(pa.string())),
        pa.field("brand", pa.string()),
        pa.field("price_micros", pa.int64()),
        pa.field("quantity", pa.int32()),
        pa.field("position", pa.int32()),
        pa.field("on_sale", pa.bool_()),
    ]
)

# In a file's metadata: the key under which its ids are pseudonyms, absent where they are plain.
_ID_KEY: Final = b"micromoment.id_key"

EVENT_SCHEMA: Final = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("event_time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("received_time", pa.timestamp("us", tz="UTC")),
        pa.field("session_id", pa.string(), nullable=False),
        # Place of the raw row in its session by time, from 1, counted before anything is merged
        # or dropped.
        pa.field("source_seq", pa.int64(), nullable=False),
        pa.field("anonymous_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("items", pa.list_(ITEM_TYPE)),
        pa.field("order_id", pa.string()),
        pa.field("value_micros", pa.int64()),
        pa.field("currency", pa.string()),
        pa.field("page_id", pa.string()),
        pa.field("page_type", pa.string()),
        pa.field("page_title", pa.string()),
        pa.field("referrer_medium", pa.string()),
        pa.field("referrer_campaign", pa.string()),
        pa.field("referrer_source", pa.string()),
        pa.field("device", pa.string()),
        pa.field("locale", pa.string()),
        pa.field("utc_offset_minutes", pa.int32()),
        pa.field("scroll_percent", pa.float64()),
        pa.field("dwell_ms", pa.int64()),
        pa.field("hover_ms", pa.int64()),
        pa.field("engagement_ms", pa.int64()),
        pa.field("search_terms_hash", pa.uint64()),
        pa.field("consent_analytics", pa.string()),
        pa.field("consent_personalization", pa.string()),
        pa.field("consent_ads", pa.string()),
        pa.field("consent_gpc", pa.bool_()),
        pa.field("is_bot", pa.bool_()),
        pa.field("attributes", pa.map_(pa.string(), pa.string())),
    ]
)


def schema_under(key_id: str) -> pa.Schema:
    """Give `EVENT_SCHEMA` of a file whose ids are pseudonyms under a key, or plain (empty)."""
    return EVENT_SCHEMA.with_metadata({_ID_KEY: key_id.encode()}) if key_id else EVENT_SCHEMA


def key_id_of_schema(schema: pa.Schema) -> str:
    """Give the key under which the ids of a file with this schema are, empty for plain ones."""
    found: bytes = (schema.metadata or {}).get(_ID_KEY, b"")
    return found.decode()

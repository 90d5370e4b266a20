"""The canonical event as a fixed-size record, and batches of them.

An event is one `EVENT` record; its items are consecutive `ITEM` records in a second array. Ids are
64-bit hashes (`hashing.hash_id`), 0 when missing. Both codecs, from Arrow and from protobuf, give
the same bits for the same event; everything behind them works on these records alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

RecordArray = npt.NDArray[Any]

MISSING_MICROS: Final = np.iinfo(np.int64).min
MISSING_OFFSET: Final = -32768

FLAG_BOT: Final = 1
FLAG_FOREIGN_CURRENCY: Final = 2
FLAG_ANALYTICS_DENIED: Final = 4
FLAG_PERSONALIZATION_DENIED: Final = 8
FLAG_ADS_DENIED: Final = 16
FLAG_PRIVACY_CONTROL: Final = 32
FLAG_PERSONALIZATION_GRANTED: Final = 64
FLAG_ADS_GRANTED: Final = 128
# What a session remembers of consent. Analytics are no part of it: without them none is kept.
CONSENT_FLAGS: Final = (
    FLAG_PERSONALIZATION_DENIED
    | FLAG_PERSONALIZATION_GRANTED
    | FLAG_ADS_DENIED
    | FLAG_ADS_GRANTED
    | FLAG_PRIVACY_CONTROL
)

EVENT: Final = np.dtype(
    [
        ("event_time", "i8"),  # microseconds since 1970-01-01 UTC, by the client
        ("received_time", "i8"),  # the same, by the server; equals event_time when unknown
        ("event_key", "u8"),  # hash of event_id
        ("visitor", "u8"),  # hash of user_id, else of anonymous_id
        ("user", "u8"),  # hash of user_id, 0 when not identified
        ("page", "u8"),
        ("title", "u8"),
        ("campaign", "u8"),
        ("source", "u8"),
        ("locale", "u8"),
        ("search_terms", "u8"),
        ("order", "u8"),
        ("value", "i8"),  # micros of the shop's currency, MISSING_MICROS
        ("dwell_ms", "i4"),  # -1 missing, likewise the next two
        ("hover_ms", "i4"),
        ("engagement_ms", "i4"),
        ("scroll", "f4"),  # percent, NaN missing
        ("first_item", "u4"),  # index into the batch's items
        ("n_items", "u2"),
        ("utc_offset", "i2"),  # minutes, never missing after decoding
        ("type", "u1"),
        ("page_type", "u1"),
        ("device", "u1"),
        ("medium", "u1"),
        ("flags", "u1"),
    ],
    align=True,
)

ITEM: Final = np.dtype(
    [
        ("item", "u8"),
        ("category", "u8"),  # hash of the whole path
        ("top_category", "u8"),  # hash of its first level
        ("brand", "u8"),
        ("price", "i8"),  # micros of the shop's currency, MISSING_MICROS
        ("quantity", "i4"),  # 0 missing
        ("position", "i4"),  # 0 missing
        ("on_sale", "i1"),  # -1 missing, 0, 1
    ],
    align=True,
)


_CODES: Final = {
    "i8": "q",
    "u8": "Q",
    "i4": "i",
    "u4": "I",
    "f4": "f",
    "i2": "h",
    "u2": "H",
    "i1": "b",
    "u1": "B",
}


def packing_of(record: np.dtype[Any]) -> struct.Struct:
    """Give what packs a record's fields, in order, to its bytes; padding is zero."""
    text = "="
    size = 0
    for kind, offset, *_ in (record.fields or {}).values():
        text += f"{offset - size}x{_CODES[kind.str[1:]]}"
        size = offset + kind.itemsize
    return struct.Struct(f"{text}{record.itemsize - size}x")


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events with their items: `events[i]` owns `items[first_item : first_item + n_items]`.

    `says_consent` tells of events that came in a request whether any says something of consent.
    """

    events: RecordArray
    items: RecordArray
    says_consent: bool = False

    def __len__(self) -> int:
        return len(self.events)


def empty_batch(n_events: int, n_items: int) -> EventBatch:
    """Make a zeroed batch, padding bytes included, so that equal events have equal bytes."""
    return EventBatch(np.zeros(n_events, EVENT), np.zeros(n_items, ITEM))

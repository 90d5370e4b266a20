"""Canonical events from Arrow to records, column by column."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from micromoment.errors import InvalidDataError
from micromoment.events import vocabulary
from micromoment.events.categories import category_key, top_category_key
from micromoment.events.hashing import hash_distinct_strings, hash_strings, places_after_null
from micromoment.events.identity import IdEncoder
from micromoment.events.masking import MASKED_COLUMNS, masked
from micromoment.events.record import (
    FLAG_ADS_DENIED,
    FLAG_ADS_GRANTED,
    FLAG_ANALYTICS_DENIED,
    FLAG_BOT,
    FLAG_FOREIGN_CURRENCY,
    FLAG_PERSONALIZATION_DENIED,
    FLAG_PERSONALIZATION_GRANTED,
    FLAG_PRIVACY_CONTROL,
    MISSING_MICROS,
    EventBatch,
    empty_batch,
)
from micromoment.events.schema import EVENT_SCHEMA
from micromoment.events.shop import Shop

_IDS = {
    "page": "page_id",
    "title": "page_title",
    "campaign": "referrer_campaign",
    "source": "referrer_source",
    "locale": "locale",
    "order": "order_id",
}
_CODES: dict[str, tuple[str, type[IntEnum]]] = {
    "type": ("type", vocabulary.EventType),
    "page_type": ("page_type", vocabulary.PageType),
    "device": ("device", vocabulary.DeviceType),
    "medium": ("referrer_medium", vocabulary.ReferrerMedium),
}
_DENIALS = {
    "consent_analytics": FLAG_ANALYTICS_DENIED,
    "consent_personalization": FLAG_PERSONALIZATION_DENIED,
    "consent_ads": FLAG_ADS_DENIED,
}
_GRANTS = {
    "consent_analytics": 0,
    "consent_personalization": FLAG_PERSONALIZATION_GRANTED,
    "consent_ads": FLAG_ADS_GRANTED,
}
_MARKS = {"is_bot": FLAG_BOT, "consent_gpc": FLAG_PRIVACY_CONTROL}


def events_from_arrow(table: pa.Table, shop: Shop, ids: IdEncoder | None = None) -> EventBatch:
    """Decode a table of `EVENT_SCHEMA`, n rows, to n records in the same order.

    Raises `InvalidDataError` naming the column when one is missing, holds an unknown word, or lacks
    a value in some row though each must have one.
    """
    _check_columns(table)
    items = table["items"].combine_chunks()
    n_items, item_values = _flat_items(items)
    batch = empty_batch(len(table), len(item_values))
    foreign = _foreign_currency(table["currency"], shop)
    _fill_events(batch.events, table, shop, ids or IdEncoder(), foreign)
    batch.events["n_items"] = n_items
    batch.events["first_item"] = np.cumsum(n_items) - n_items
    _fill_items(batch.items, item_values, np.repeat(foreign, n_items))
    return batch


def _check_columns(table: pa.Table) -> None:
    absent = [name for name in EVENT_SCHEMA.names if name not in table.column_names]
    if absent:
        raise InvalidDataError("events", f"columns are missing: {', '.join(absent)}")
    required = [field.name for field in EVENT_SCHEMA if not field.nullable]
    empty = [f"{name} ({n} rows)" for name in required if (n := table[name].null_count)]
    if empty:
        raise InvalidDataError("events", f"columns lack a value: {', '.join(empty)}")


def _fill_events(
    events: npt.NDArray[Any],
    table: pa.Table,
    shop: Shop,
    ids: IdEncoder,
    foreign: npt.NDArray[np.bool_],
) -> None:
    events["event_time"] = _micros(table["event_time"])
    received = pc.coalesce(table["received_time"], table["event_time"])
    events["received_time"] = _micros(received)
    events["event_key"] = hash_distinct_strings(table["event_id"])
    events["user"] = hash_strings(_encoded(table["user_id"], ids))
    anonymous = hash_strings(_encoded(table["anonymous_id"], ids))
    events["visitor"] = np.where(events["user"] != 0, events["user"], anonymous)
    for field, column in _IDS.items():
        texts = table[column]
        if ids.is_on and column in MASKED_COLUMNS:
            texts = masked_texts(texts)
        events[field] = hash_strings(texts)
    for field, (column, words) in _CODES.items():
        events[field] = _codes(table[column], column, words)
    events["search_terms"] = _numbers(table["search_terms_hash"], 0)
    value = _numbers(table["value_micros"], MISSING_MICROS)
    events["value"] = np.where(foreign, MISSING_MICROS, value)
    for field in ("dwell_ms", "hover_ms", "engagement_ms"):
        events[field] = _numbers(table[field], -1)
    events["scroll"] = _numbers(table["scroll_percent"], np.nan)
    offsets = _numbers(table["utc_offset_minutes"], np.iinfo(np.int32).min)
    own = offsets != np.iinfo(np.int32).min
    events["utc_offset"] = np.where(own, offsets, shop.utc_offsets_minutes(events["event_time"]))
    events["flags"] = _flags(table) | np.where(foreign, FLAG_FOREIGN_CURRENCY, 0).astype(np.uint8)


def _fill_items(
    items: npt.NDArray[Any], values: pa.StructArray, foreign: npt.NDArray[np.bool_]
) -> None:
    if not len(values):
        return
    items["item"] = hash_strings(values.field("item_id"))
    items["brand"] = hash_strings(values.field("brand"))
    items["category"], items["top_category"] = _categories(values.field("category_path"))
    price = _numbers(values.field("price_micros"), MISSING_MICROS)
    items["price"] = np.where(foreign, MISSING_MICROS, price)
    items["quantity"] = _numbers(values.field("quantity"), 0)
    items["position"] = _numbers(values.field("position"), 0)
    items["on_sale"] = _numbers(pc.cast(values.field("on_sale"), pa.int8()), -1)


def _flat_items(items: pa.ListArray) -> tuple[npt.NDArray[np.int64], pa.StructArray]:
    counts = pc.list_value_length(items).fill_null(0).to_numpy(zero_copy_only=False)
    return counts.astype(np.int64), cast(pa.StructArray, items.flatten())


def _categories(
    paths: pa.ListArray,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    joined = pc.binary_join(paths.cast(pa.list_(pa.string())), "\x1f")
    encoded = pc.dictionary_encode(joined)
    split = [text.split("\x1f") if text else [] for text in encoded.dictionary.to_pylist()]
    whole = np.array([0, *map(category_key, split)], dtype=np.uint64)
    top = np.array([0, *map(top_category_key, split)], dtype=np.uint64)
    places = places_after_null(encoded)
    return whole[places], top[places]


def _codes(column: pa.ChunkedArray, name: str, words: type[IntEnum]) -> npt.NDArray[np.uint8]:
    encoded = pc.dictionary_encode(column.combine_chunks())
    known = vocabulary.names(words)
    unknown = [word for word in encoded.dictionary.to_pylist() if word not in known]
    if unknown:
        raise InvalidDataError("events", f"column {name} holds unknown words: {unknown[:3]}")
    table = np.array([0, *(known[w] for w in encoded.dictionary.to_pylist())], dtype=np.uint8)
    return table[places_after_null(encoded)]


def _flags(table: pa.Table) -> npt.NDArray[np.uint8]:
    flags = np.zeros(len(table), dtype=np.uint8)
    for column, flag in _DENIALS.items():
        state = _codes(table[column], column, vocabulary.ConsentState)
        flags |= np.where(state == vocabulary.ConsentState.DENIED, flag, 0).astype(np.uint8)
        granted = _GRANTS[column]
        flags |= np.where(state == vocabulary.ConsentState.GRANTED, granted, 0).astype(np.uint8)
    for column, flag in _MARKS.items():
        mark = _numbers(pc.cast(table[column], pa.int8()), 0)
        flags |= np.where(mark == 1, flag, 0).astype(np.uint8)
    return flags


def _foreign_currency(column: pa.ChunkedArray, shop: Shop) -> npt.NDArray[np.bool_]:
    encoded = pc.dictionary_encode(column.combine_chunks())
    verdicts = [False, *(not shop.accepts(code) for code in encoded.dictionary.to_pylist())]
    return np.array(verdicts, dtype=np.bool_)[places_after_null(encoded)]


def _encoded(column: pa.ChunkedArray, ids: IdEncoder) -> pa.Array:
    encoded = pc.dictionary_encode(column.combine_chunks())
    words = [ids.encode(word) for word in encoded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(
        encoded.indices, pa.array(words, pa.string())
    ).dictionary_decode()


def masked_texts(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Mask the e-mail addresses in a column of texts."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    encoded = pc.dictionary_encode(column)
    words = pa.array([masked(word) for word in encoded.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(encoded.indices, words).dictionary_decode()


def _micros(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return _numbers(pc.cast(column, pa.timestamp("us", tz="UTC")).cast(pa.int64()), 0)


def _numbers(column: pa.Array | pa.ChunkedArray, missing: float) -> npt.NDArray[Any]:
    filled = pc.fill_null(column, pa.scalar(missing, column.type))
    if isinstance(filled, pa.ChunkedArray):
        filled = filled.combine_chunks()
    numbers: npt.NDArray[Any] = filled.to_numpy(zero_copy_only=False)
    return numbers

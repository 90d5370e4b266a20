"""What visits hold before their order, as tokens: raw values, their shapes, and their absence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.events.vocabulary import EventType
from training.replay.labels import label_batches, visit_ids
from training.replay.run import ReplaySettings, replay_moments
from training.replay.sessions import group_by_session

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

# Told by value; numbers too, because a repeated exact number is a word.
_VALUES: Final = (
    "page_id", "page_title", "type", "page_type", "order_id", "currency", "value_micros",
    "referrer_medium", "referrer_campaign", "referrer_source", "device", "locale",
    "utc_offset_minutes", "scroll_percent", "dwell_ms", "hover_ms", "engagement_ms",
    "search_terms_hash", "consent_analytics", "consent_personalization", "consent_ads",
    "consent_gpc", "is_bot",
)  # fmt: skip
# Told by shape: digits as 9, so that a page of each order's own is one token.
_SHAPES: Final = ("page_id", "page_title", "referrer_campaign", "referrer_source", "locale")
_IDS: Final = ("session_id", "event_id", "anonymous_id", "user_id")
_ITEM_VALUES: Final = ("item_id", "brand", "price_micros", "quantity", "position", "on_sale")


@dataclass(frozen=True)
class VisitEvents:
    """n accepted events of v visits. `before` marks what models may see: before the order."""

    table: pa.Table
    visit: IntArray  # (n,)
    before: BoolArray  # (n,)
    first: BoolArray  # (n,), the visit's first event
    time: IntArray  # (n,), microseconds
    buys: BoolArray  # (v,)
    visitor: npt.NDArray[np.uint64]  # (v,)
    order_time: IntArray  # (v,), of the first order


@dataclass(frozen=True)
class Tokens:
    """One kind of token: `code[i]` of event `event[i]`; `words` are the codes' names."""

    kind: str
    event: IntArray
    code: IntArray
    words: pa.Array

    def name(self, code: int) -> str:
        """Name a token for people."""
        word = self.words[int(code)].as_py()
        return f"{self.kind} = {word!r}" if isinstance(word, str) else f"{self.kind} = {word}"


def visit_events(parts: list[Path], settings: ReplaySettings, max_rows: int) -> VisitEvents:
    """Read the parts, until `max_rows` events are there: a part holds a random share of visits."""
    tables = []
    rows = 0
    for part in parts:
        if rows < max_rows:
            tables.append(pq.read_table(part))
            rows += len(tables[-1])
    grouped = group_by_session(pa.concat_tables(tables), settings.shop, settings.ids)
    moments = replay_moments(grouped, settings)
    labels = label_batches(grouped, moments)
    accepted = np.flatnonzero(moments["outcome"] > 0)
    over = (moments["converted"] > 0)[labels.end] | labels.after_order
    visit = visit_ids(grouped, moments)[accepted]
    _, visit = np.unique(visit, return_inverse=True)
    visit = visit.astype(np.int64)
    n_visits = int(visit.max(initial=-1)) + 1
    before = ~over[accepted]
    events = grouped.batch.events[accepted]
    bought = (events["type"] == EventType.PURCHASE) & (moments["outcome"][accepted] > 0)
    order_time = np.full(n_visits, np.iinfo(np.int64).max)
    np.minimum.at(order_time, visit[bought], events["event_time"][bought])
    place = np.empty(len(grouped.table), np.int64)
    place[grouped.order] = np.arange(len(place))
    first_place = np.full(n_visits, len(place))
    np.minimum.at(first_place, visit, place[accepted])
    first = place[accepted] == first_place[visit]
    visitor = np.zeros(n_visits, np.uint64)
    visitor[visit[first]] = events["visitor"][first]
    return VisitEvents(
        table=grouped.table.take(accepted),
        visit=visit,
        before=before,
        first=first,
        time=events["event_time"].astype(np.int64),
        buys=order_time < np.iinfo(np.int64).max,
        visitor=visitor,
        order_time=order_time,
    )


def all_tokens(found: VisitEvents) -> Iterator[Tokens]:
    """Give every kind of token in turn."""
    everywhere = np.arange(len(found.table))
    kinds = pc.dictionary_encode(found.table["type"].combine_chunks())
    for name in _VALUES:
        column = found.table[name].combine_chunks()
        yield _coded(name, everywhere, column)
        if name not in {"type", "page_type"}:
            yield _with_type(f"type and presence of {name}", everywhere, kinds, column)
    for name in _SHAPES:
        yield _shaped(f"shape of {name}", everywhere, found.table[name], r"\d+", "9")
        yield _shaped(f"start of {name}", everywhere, found.table[name], r"^(/?[^/?&=]*).*$", r"\1")
    for name in _IDS:
        column = found.table[name]
        yield _shaped(f"shape of {name}", everywhere, column, r"[0-9a-f]+", "9")
        yield _shaped(f"first character of {name}", everywhere, column, r"^(.).*$", r"\1")
        yield _shaped(f"last character of {name}", everywhere, column, r"^.*(.)$", r"\1")
        yield _coded(f"length of {name}", everywhere, pc.utf8_length(column.combine_chunks()))
    yield from _time_tokens(found, everywhere)
    yield from _item_tokens(found)
    yield from _attribute_tokens(found)


def _coded(kind: str, event: IntArray, column: pa.Array) -> Tokens:
    encoded = pc.dictionary_encode(column)
    known = encoded.indices.is_valid().to_numpy(zero_copy_only=False)
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return Tokens(kind, event[known], codes[known], encoded.dictionary)


def _shaped(kind: str, event: IntArray, column: pa.ChunkedArray, pattern: str, by: str) -> Tokens:
    encoded = pc.dictionary_encode(column.combine_chunks())
    words = pc.replace_substring_regex(encoded.dictionary, pattern, by)
    return _coded(kind, event, words.take(encoded.indices))


def _with_type(kind: str, event: IntArray, kinds: pa.DictionaryArray, column: pa.Array) -> Tokens:
    present = column.is_valid().to_numpy(zero_copy_only=False)
    codes = kinds.indices.to_numpy(zero_copy_only=False).astype(np.int64) * 2 + present
    words = [f"{word}, {has}" for word in kinds.dictionary.to_pylist() for has in ("no", "yes")]
    return Tokens(kind, event, codes, pa.array(words))


def _time_tokens(found: VisitEvents, event: IntArray) -> Iterator[Tokens]:
    for kind, divisor in (("milliseconds of event_time", 1_000), ("seconds of event_time", 1)):
        fraction = found.time % 1_000_000 // divisor % 1_000
        yield _coded(f"{kind}, last three digits", event, pa.array(fraction))
    received = pc.cast(found.table["received_time"], pa.int64()).combine_chunks()
    delay = pc.divide(pc.subtract(received, pa.array(found.time)), 1_000_000)
    yield _coded("seconds from event_time to received_time", event, delay)
    pair = found.visit * 3 + np.zeros(len(event), np.int64)
    same = np.unique(np.stack([pair, found.time], axis=1), axis=0, return_inverse=True)[1].ravel()
    yield _coded("events at one time", event, pa.array(np.bincount(same)[same]))


def _item_tokens(found: VisitEvents) -> Iterator[Tokens]:
    column = found.table["items"].combine_chunks()
    event = pc.list_parent_indices(column).to_numpy().astype(np.int64)
    items = pc.list_flatten(column)
    for name in _ITEM_VALUES:
        yield _coded(f"items.{name}", event, items.field(name))
    paths = items.field("category_path")
    parents = pc.list_parent_indices(paths).to_numpy().astype(np.int64)
    yield _coded("items.category_path", event[parents], pc.list_flatten(paths))
    lines = np.bincount(event, minlength=len(found.table))
    yield _coded("number of items", np.arange(len(lines)), pa.array(lines))


def _attribute_tokens(found: VisitEvents) -> Iterator[Tokens]:
    column: Any = found.table["attributes"].combine_chunks()
    lengths = np.diff(column.offsets.to_numpy())
    lengths = np.where(column.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    event = np.repeat(np.arange(len(column)), lengths)
    rows = np.concatenate(
        [np.arange(a, a + n) for a, n in zip(column.offsets.to_numpy(), lengths, strict=False) if n]
        or [np.zeros(0, np.int64)]
    )
    keys, words = column.keys.take(pa.array(rows)), column.items.take(pa.array(rows))
    yield _coded("attributes", event, keys)
    yield _coded("attributes", event, pc.binary_join_element_wise(keys, words, "="))

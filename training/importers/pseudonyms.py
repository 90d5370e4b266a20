"""Ids of staged rows become pseudonyms before anything is made of them.

So that sessions, places and repeats are found among pseudonyms alone, and what later imports need
of a day (`.import-state`) holds no other ids either. What is staged before that lies in the
import's work folder, which is gone when the import ends, or when the next one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.events.identity import IdEncoder
from micromoment.events.masking import MASKED_COLUMNS, masked
from micromoment.stores.erasure_list import ErasureList

# Terms are hashed later; an address among them could be guessed from its hash.
_TEXTS: Final = (*MASKED_COLUMNS, "campaign_key", "search_term")
_TAGS: Final = "cleaned"
_REMEMBERED: Final = 1 << 17

Rename = Callable[[str], str]


@dataclass(frozen=True)
class Pseudonyms:
    """How an import stores ids: by an encoder, or as they come."""

    ids: IdEncoder = field(default_factory=IdEncoder)

    @property
    def key_id(self) -> str:
        """The key under which ids are stored; empty where they are plain."""
        return self.ids.key_id

    def encode_files(
        self, files: Sequence[Path], columns: Sequence[str], erasures: ErasureList
    ) -> None:
        """Rewrite staged files in place: ids in `columns` become pseudonyms, addresses are masked.

        A row of which a text was masked gets the tag `<column>.email_masked` among its `cleaned`.
        Whom `erasures` names plainly or under any key, it names afterwards as staged, too.
        """
        if not self.ids.is_on:
            return
        encode = lru_cache(_REMEMBERED)(partial(self._encode, erasures))
        for path in files:
            draft = path.with_name(f"{path.name}.draft")
            with pq.ParquetFile(path) as source:
                schema = source.schema_arrow
                with pq.ParquetWriter(draft, schema, compression="lz4") as writer:
                    for batch in source.iter_batches():
                        table = pa.Table.from_batches([batch], schema)
                        writer.write_table(_encoded(table, columns, encode))
            draft.replace(path)

    def _encode(self, erasures: ErasureList, plain: str) -> str:
        stored = self.ids.encode(plain)
        if erasures and (until := erasures.latest(self.ids.forms(plain))):
            erasures.add([stored], until)
        return stored


def _encoded(table: pa.Table, columns: Sequence[str], encode: Rename) -> pa.Table:
    for name in columns:
        table = _with(table, name, _each(table[name], encode))
    tags: list[pa.Array] = []
    for name in _TEXTS:
        if name in table.column_names:
            clean = _each(table[name], masked)
            changed = pc.fill_null(pc.not_equal(clean, table[name]), False)
            tags.append(pc.if_else(changed, f"{name}.email_masked", None))
            table = _with(table, name, clean)
    if "attributes" in table.column_names:
        clean, changed = _attributes(table["attributes"])
        tags.append(pc.if_else(changed, "attributes.email_masked", None))
        table = _with(table, "attributes", clean)
    if tags and _TAGS in table.column_names:
        told = pc.binary_join_element_wise(table[_TAGS], *tags, " ", null_handling="skip")
        table = _with(table, _TAGS, told)
    return table


def _attributes(column: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    rows = column.to_pylist()
    if not any("@" in text or "%40" in text for row in rows for pair in row or () for text in pair):
        return column.combine_chunks(), pa.array([False] * len(rows))
    clean = [
        None if row is None else list({masked(key): masked(value) for key, value in row}.items())
        for row in rows
    ]
    changed = [one != row for one, row in zip(clean, rows, strict=True)]
    return pa.array(clean, column.type), pa.array(changed)


def _each(column: pa.ChunkedArray, rename: Rename) -> pa.Array:
    encoded = pc.dictionary_encode(column.combine_chunks())
    words = pa.array([rename(word) for word in encoded.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(encoded.indices, words).dictionary_decode()


def _with(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), column)

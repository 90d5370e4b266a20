"""Writing canonical events to Parquet, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.events.hashing import hash_id
from micromoment.events.schema import EVENT_SCHEMA, schema_under

ROW_GROUP_ROWS = 65_536
# Text that becomes `search_terms_hash`; terms themselves are never written.
SEARCH_TERM = "search_term"


def write_events(path: Path, batches: Iterable[pa.RecordBatch], key_id: str = "") -> int:
    """Write batches to a file of exactly `EVENT_SCHEMA` and give the number of rows.

    A batch holds columns of the schema, `event_time` in microseconds as int64, and perhaps
    `search_term`; columns that it lacks are written as null. The bytes don't depend on how the
    rows are cut into batches. `key_id` is that of the pseudonyms, empty where ids are plain.
    """
    rows = 0
    pending: list[pa.Table] = []
    with pq.ParquetWriter(path, schema_under(key_id), compression="zstd") as writer:
        for batch in batches:
            pending.append(canonical(batch))
            rows += len(batch)
            whole = pa.concat_tables(pending)
            while len(whole) >= ROW_GROUP_ROWS:
                writer.write_table(whole.slice(0, ROW_GROUP_ROWS).combine_chunks())
                whole = whole.slice(ROW_GROUP_ROWS)
            pending = [whole]
        if pending and len(pending[0]):
            writer.write_table(pending[0].combine_chunks())
    return rows


def canonical(batch: pa.RecordBatch) -> pa.Table:
    """Give a batch the columns, order and types of `EVENT_SCHEMA`."""
    found = set(batch.schema.names)
    columns = []
    for field in EVENT_SCHEMA:
        if field.name == "search_terms_hash" and SEARCH_TERM in found:
            columns.append(hashed_terms(batch[SEARCH_TERM]))
        elif field.name in found:
            columns.append(batch[field.name].cast(field.type))
        else:
            columns.append(pa.nulls(len(batch), field.type))
    return pa.Table.from_arrays(columns, schema=EVENT_SCHEMA)


def hashed_terms(terms: pa.Array) -> pa.Array:
    """Hash search terms without case and outer blanks, n strings to n uint64; none gives null."""
    encoded = pc.dictionary_encode(terms)
    words = [hash_id(term.strip().lower()) or None for term in encoded.dictionary.to_pylist()]
    return pc.take(pa.array(words, pa.uint64()), encoded.indices)

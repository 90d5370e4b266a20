"""64-bit ids for strings: XXH3 of their UTF-8 bytes, the same in every process and file."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash


def hash_id(text: str) -> int:
    """Hash a string to 1..2**64-1; the empty string, which means missing, to 0."""
    if not text:
        return 0
    return xxhash.xxh3_64_intdigest(text.encode()) or 1


# For words that come again and again: pages, products, brands. Ids of events don't.
cached_hash = lru_cache(maxsize=65_536)(hash_id)


def hash_strings(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Hash a string column of n rows to shape (n,), uint64; null and empty give 0."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    encoded = pc.dictionary_encode(values)
    table = np.array([0, *map(hash_id, encoded.dictionary.to_pylist())], dtype=np.uint64)
    return table[places_after_null(encoded)]


def hash_distinct_strings(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Do the same for a column whose strings hardly repeat, where a dictionary only costs time."""
    texts = pc.cast(pc.fill_null(values, ""), pa.binary()).to_pylist()
    digests = np.fromiter(map(xxhash.xxh3_64_intdigest, texts), np.uint64, len(texts))
    digests[digests == 0] = 1
    digests[np.array([not text for text in texts], dtype=np.bool_)] = 0
    return digests


def places_after_null(encoded: pa.DictionaryArray) -> npt.NDArray[np.int64]:
    """Give each row's place in a table of the dictionary with one entry for null before it."""
    places: npt.NDArray[np.int64] = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return places + 1

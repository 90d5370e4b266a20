"""Hashes of ids."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from micromoment.events.categories import category_key, top_category_key
from micromoment.events.hashing import hash_distinct_strings, hash_id, hash_strings


def test_hashes_are_part_of_the_stored_format() -> None:
    """A text has the same hash in every version: XXH3, 64 bits, of its UTF-8 bytes."""
    assert hash_id("e1") == 0x1F7E_2402_3B50_EAEF
    assert hash_id("Grüße") == 0xB40C_17E2_196D_97D8


def test_missing_is_zero_and_nothing_else_is() -> None:
    """The empty text has the hash 0, which no other one has."""
    assert hash_id("") == 0
    assert hash_id("0") != 0
    assert hash_id("\x00") != 0


@given(st.lists(st.one_of(st.none(), st.just(""), st.text(max_size=8)), max_size=20))
def test_columns_hash_as_single_texts_do(texts: list[str | None]) -> None:
    """In bulk, with or without a dictionary, in one chunk or two: the same hashes."""
    expected = [hash_id(text or "") for text in texts]
    array = pa.array(texts, pa.string())
    chunked = pa.chunked_array([array[: len(texts) // 2], array[len(texts) // 2 :]])
    for hashed in (hash_strings, hash_distinct_strings):
        for column in (array, chunked):
            assert hashed(column).dtype == "u8"
            assert hashed(column).tolist() == expected


def test_category_paths() -> None:
    """A path has its own key and its first level's; the empty path has none."""
    assert category_key(["a", "b"]) == hash_id("a\x1fb")
    assert category_key(["a", "b"]) != category_key(["ab"])
    assert top_category_key(["a", "b"]) == top_category_key(["a"]) == hash_id("a")
    assert category_key([]) == top_category_key([]) == 0

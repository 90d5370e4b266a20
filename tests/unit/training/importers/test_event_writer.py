from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.events.hashing import hash_id
from micromoment.events.schema import EVENT_SCHEMA
from training.importers.event_writer import ROW_GROUP_ROWS, hashed_terms, write_events


def _batch(first: int, rows: int) -> pa.RecordBatch:
    numbers = range(first, first + rows)
    return pa.RecordBatch.from_pydict(
        {
            "event_id": [f"e{n}" for n in numbers],
            "type": ["page_view"] * rows,
            "event_time": list(numbers),
            "session_id": ["s"] * rows,
            "source_seq": list(numbers),
            "search_term": ["Socks" if n % 2 else None for n in numbers],
        }
    )


def test_the_bytes_dont_depend_on_the_batches(tmp_path: Path) -> None:
    """Any cut into batches gives the same file, of the canonical schema."""
    total = ROW_GROUP_ROWS + 1_000
    one, many = tmp_path / "one.parquet", tmp_path / "many.parquet"
    assert write_events(one, [_batch(0, total)]) == total
    cuts = [(0, 10), (10, ROW_GROUP_ROWS - 5), (ROW_GROUP_ROWS + 5, 995)]
    assert write_events(many, [_batch(first, rows) for first, rows in cuts]) == total
    assert one.read_bytes() == many.read_bytes()
    file = pq.ParquetFile(one)
    assert file.schema_arrow.remove_metadata().equals(EVENT_SCHEMA)
    assert file.metadata.num_row_groups == 2


def test_an_empty_day_is_a_file_too(tmp_path: Path) -> None:
    """No batches give a file with the schema and no rows."""
    path = tmp_path / "none.parquet"
    assert write_events(path, []) == 0
    assert pq.read_table(path).num_rows == 0


def test_terms_are_hashed_without_case_and_blanks() -> None:
    """Equal terms have equal hashes; no term, and a blank one, has none."""
    terms = pa.array(["Socks", " socks\t", None, "  ", "shoes"])
    expected = [hash_id("socks"), hash_id("socks"), None, None, hash_id("shoes")]
    assert hashed_terms(terms).to_pylist() == expected

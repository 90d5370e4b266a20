"""Files of decision points: whose each is, of which visit, and its own id, which has the visit."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.stores.user_view import VISITOR_KEY
from training.rekeying.renaming import Renaming, StoreReport, put_in_place

_DECISION: Final = "decision_id"
_IDS: Final = (VISITOR_KEY, "session_id")
_DRAFT: Final = ".rekeyed"


def rekey_decisions(path: Path, renaming: Renaming, report: StoreReport) -> bool:
    """Bring a file under the current key and count its rows; tell whether it was written anew."""
    for left_over in path.parent.glob(f"*{_DRAFT}"):
        left_over.unlink()  # of a run that was broken off
    with pq.ParquetFile(path) as source:
        schema = source.schema_arrow
        ids = [name for name in _IDS if name in schema.names]
        before = report.renamed
        for group in range(source.num_row_groups):
            renaming.take_columns(report, source.read_row_group(group, columns=ids), ids)
        if report.renamed == before:
            return False
        draft = path.with_suffix(_DRAFT)
        uncounted = StoreReport("counted above")
        with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
            for group in range(source.num_row_groups):
                rows = source.read_row_group(group)
                writer.write_table(_named(renaming.take_columns(uncounted, rows, ids), renaming))
    put_in_place(draft, path)
    return True


def _named(rows: pa.Table, renaming: Renaming) -> pa.Table:
    """Give decision points ids of their own that name visits as they are named now."""
    if _DECISION not in rows.column_names:
        return rows
    parted = (one.rpartition(":") for one in rows[_DECISION].to_pylist())
    named = [f"{renaming.of(visit)}{colon}{place}" for visit, colon, place in parted]
    place = rows.schema.get_field_index(_DECISION)
    return rows.set_column(place, rows.schema.field(_DECISION), pa.array(named, pa.string()))

"""Folders of canonical events, with the state that later imports need.

A day is written anew and put in place by renaming. While that goes on, the folder has days under
two keys, which its readers refuse; whoever is interrupted begins again and goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.events.arrow_codec import masked_texts
from micromoment.events.masking import MASKED_COLUMNS, masked
from micromoment.events.schema import key_id_of_schema, schema_under
from training.importers.event_folder import STATE_NAME, EventFolder, event_folder
from training.importers.event_writer import ROW_GROUP_ROWS
from training.progress import Advance
from training.rekeying.renaming import Renaming, StoreReport, put_in_place

_IDS: Final = ("session_id", "anonymous_id", "user_id")


def event_files(folder: Path) -> list[Path]:
    """List the files of a folder that hold ids: state first, so that days end the work."""
    return [*sorted((folder / STATE_NAME).glob("*/*.parquet")), *sorted(folder.glob("*.parquet"))]


def rekey_events(folder: Path, renaming: Renaming, advance: Advance) -> StoreReport:
    """Bring a folder of events under the current key; `advance` gets 1 for each file.

    Raises `InvalidDataError` for a folder without events, while an import writes it, and for a day
    under a key that does not lead to the current one.
    """
    report = StoreReport(f"events {folder}")
    if not any(folder.glob("*.parquet")):
        raise InvalidDataError(str(folder), "holds no YYYY-MM-DD.parquet file of events")
    with event_folder(folder, None) as opened:
        for path in event_files(folder):
            report.files += 1
            if path.parent == folder:
                report.rewritten += _rekey_day(path, opened, renaming, report)
            else:
                report.rewritten += _rekey_state(path, opened, renaming)
            advance(1)
    return report


def _rekey_day(path: Path, folder: EventFolder, renaming: Renaming, report: StoreReport) -> bool:
    with pq.ParquetFile(path) as source:
        held = key_id_of_schema(source.schema_arrow)
        if held == renaming.ids.key_id:
            report.rows += source.metadata.num_rows
            return False
        if held and not renaming.ids.can_raise(held):
            raise InvalidDataError(
                str(path), f"its ids are under the key {held}, from which no given key leads on"
            )
        draft = folder.work / path.name
        schema = schema_under(renaming.ids.key_id)
        with pq.ParquetWriter(draft, schema, compression="zstd") as writer:
            for table in _groups(source):
                named = renaming.take_columns(report, table.select(schema.names), _IDS)
                writer.write_table(named if held else _masked(named))
    put_in_place(draft, path)
    return True


def _rekey_state(path: Path, folder: EventFolder, renaming: Renaming) -> bool:
    # What these rows say is in the days as well: they are not counted twice.
    uncounted = StoreReport("state")
    table = pq.read_table(path)
    named = renaming.take_columns(
        uncounted, table, [name for name in _IDS if name in table.column_names]
    )
    if not uncounted.renamed:
        return False
    draft = folder.work / path.name
    pq.write_table(named, draft, compression="zstd")
    put_in_place(draft, path)
    return True


def _groups(source: pq.ParquetFile) -> Iterator[pa.Table]:
    for batch in source.iter_batches(ROW_GROUP_ROWS):
        yield pa.Table.from_batches([batch])


def _masked(table: pa.Table) -> pa.Table:
    columns = {name: masked_texts(table[name]) for name in MASKED_COLUMNS}
    rows = table["attributes"].to_pylist()
    if any("@" in text or "%40" in text for row in rows for pair in row or () for text in pair):
        clean = [
            None if row is None else list({masked(key): masked(one) for key, one in row}.items())
            for row in rows
        ]
        columns["attributes"] = pa.array(clean, table.schema.field("attributes").type)
    for name, column in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), column)
    return table

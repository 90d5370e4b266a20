"""Folders of canonical events, with the state that later imports need.

A day is written anew and put in place by renaming. While that goes on, the folder has days under
two keys, which its readers refuse; whoever is interrupted begins again and goes on where it was.
State goes first: denials know their visitors by a hash alone, and only a day that is still as it
was says of which id.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.events.arrow_codec import masked_texts
from micromoment.events.masking import MASKED_COLUMNS, masked
from micromoment.events.schema import key_id_of_schema, schema_under
from training.importers.denials import KIND, denials_renamed, visitor_hash
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
        denials = _Denials(folder, renaming)
        for path in event_files(folder):
            report.files += 1
            if path.parent == folder:
                report.rewritten += _rekey_day(path, opened, renaming, report)
            elif path.parent.name == KIND:
                report.rewritten += denials.rekey(path, opened)
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


class _Denials:
    """Gives the hashes by which denials know their visitors those of the current ids.

    A visitor who occurs in no day keeps theirs: there is no id of which to make another one.
    """

    def __init__(self, folder: Path, renaming: Renaming) -> None:
        self._folder = folder
        self._renaming = renaming
        self._names: dict[str, str] | None = None

    def rekey(self, path: Path, folder: EventFolder) -> bool:
        """Bring a file of them under the current ids; tell whether it was written anew."""
        if self._names is None:
            self._names = self._hashes()
        table = pq.read_table(path)
        if not any(hashed in self._names for hashed in table["visitor"].to_pylist()):
            return False
        draft = folder.work / path.name
        pq.write_table(denials_renamed(table, self._names), draft)
        put_in_place(draft, path)
        return True

    def _hashes(self) -> dict[str, str]:
        names = {}
        for day in sorted(self._folder.glob("*.parquet")):
            for visitor in _visitors(day):
                named = self._renaming.of(visitor)
                if named != visitor:
                    names[visitor_hash(visitor)] = visitor_hash(named)
        return names


def _visitors(day: Path) -> Iterator[str]:
    table = pq.read_table(day, columns=["user_id", "anonymous_id"])
    is_unknown = pc.equal(pc.fill_null(table["user_id"], ""), "")
    visitors = pc.if_else(is_unknown, table["anonymous_id"], table["user_id"])
    yield from (one for one in pc.unique(visitors).to_pylist() if one)


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

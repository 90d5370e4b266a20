"""Gives stored ids their current form and counts what came of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from micromoment.events.identity import IdEncoder, key_id_of
from micromoment.stores.erasure_list import load_erasures

_REMEMBERED: Final = 1 << 18


@dataclass(slots=True)
class StoreReport:
    """What came of one store. Files that were current already count among `files` alone.

    `left` counts rows with an id that stays under another key: no key that is given leads on from
    theirs. `waiting` counts sessions under way, whose rows must wait for their end.
    """

    store: str
    files: int = 0
    rewritten: int = 0
    rows: int = 0
    renamed: int = 0
    left: int = 0
    waiting: int = 0
    note: str = ""


class Renaming:
    """Names ids by the current key. Raises `ValueError` for an encoder without keys.

    `listing` are folders whose lists of erasures go on naming whom they name: before an id of
    theirs is renamed, its new form is in the list as well.
    """

    def __init__(self, ids: IdEncoder, listing: Iterable[Path] = ()) -> None:
        if not ids.is_on:
            raise ValueError("there is no key to bring ids under")
        self.ids = ids
        self._erasures = {folder: load_erasures(folder) for folder in listing}
        self._rename = lru_cache(_REMEMBERED)(self._renamed)

    def of(self, stored: str) -> str:
        """Give the current form of a stored id; the empty one stays."""
        return self._rename(stored)

    def _renamed(self, stored: str) -> str:
        named = self.ids.rekeyed(stored)
        for folder, erasures in self._erasures.items():
            until = erasures.latest(self.ids.forms(stored)) if erasures else 0
            if until > erasures.until(named):
                erasures.add([named], until)
                written = load_erasures(folder)  # a server may have added to it
                written.add([named], until)
                written.save(folder)
        return named

    def is_left(self, stored: str) -> bool:
        """Tell whether an id stays under a key that does not lead to the current one."""
        return bool(stored) and key_id_of(self.of(stored)) != self.ids.key_id

    def take(self, report: StoreReport, *stored: str) -> tuple[str, ...]:
        """Give the current form of a row's ids and count the row."""
        named = tuple([self.of(one) for one in stored])
        report.rows += 1
        report.renamed += named != stored
        report.left += any(map(self.is_left, stored))
        return named

    def take_columns(
        self, report: StoreReport, table: pa.Table, columns: Sequence[str]
    ) -> pa.Table:
        """Give a table the current form of the ids in `columns` and count its rows."""
        changed = pa.array([False] * len(table), pa.bool_())
        left = changed
        for name in columns:
            encoded = pc.dictionary_encode(table[name].combine_chunks())
            words = encoded.dictionary.to_pylist()
            named = pa.array([self.of(word) for word in words], pa.string())
            stays = pa.array([self.is_left(word) for word in words], pa.bool_())
            column = pa.DictionaryArray.from_arrays(encoded.indices, named).dictionary_decode()
            differs = pc.fill_null(pc.not_equal(column, table[name].combine_chunks()), False)
            changed = pc.or_(changed, differs)
            left = pc.or_(left, pc.fill_null(pc.take(stays, encoded.indices), False))
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(name), column)
        report.rows += len(table)
        report.renamed += pc.sum(changed).as_py() or 0
        report.left += pc.sum(left).as_py() or 0
        return table


def put_in_place(draft: Path, path: Path) -> None:
    """Let a finished file take another one's place, on the disk as well."""
    with draft.open("rb+") as file:
        os.fsync(file.fileno())
    draft.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

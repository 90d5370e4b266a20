"""Back from pseudonyms to the ids that a shop knows, for whoever holds the key and these ids.

A pseudonym can't be reversed. But who has an id and the key makes the same pseudonym of it again,
and so finds which of their own ids is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from micromoment.errors import InvalidDataError, InvalidSettingError
from micromoment.events.identity import IdEncoder
from training.event_files import EventDays


class OriginalIds:
    """Knows the originals of some ids: what is stored of them under any of the keys."""

    def __init__(self, ids: IdEncoder, plain: Iterable[str]) -> None:
        self._originals = {stored: one for one in plain for stored in ids.candidates(one)}

    def of(self, stored: str) -> str:
        """Give the original of an id; where it isn't known, the id itself."""
        return self._originals.get(stored, stored)


def read_known_ids(path: Path) -> Iterator[str]:
    """Go through a file of plain ids, one a line. Raises `InvalidDataError` for one without text.

    The error names the file, never what it says.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if known := line.rstrip("\r\n"):
                    yield known
    except OSError as error:
        raise InvalidDataError(str(path), f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidDataError(str(path), "can't be read as text, one id a line") from None


def renamed(
    table: pa.Table, columns: Sequence[str], days: EventDays, ids: IdEncoder | None,
    originals: OriginalIds | None,
) -> pa.Table:  # fmt: skip
    """Give a table of `days` the ids that may leave this place, in the columns named.

    With keys that is pseudonyms, or with `originals` the ids that these know. Without keys ids are
    written as they are in the events.
    """
    encode = days.encoder(ids)
    for name in columns:
        encoded = pc.dictionary_encode(pc.cast(table[name], pa.string()))
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        words = encoded.dictionary.to_pylist()
        if originals is not None:
            words = [originals.of(word) for word in words]
        elif encode is not None:
            words = [encode.encode(word) for word in words]
        column = pa.DictionaryArray.from_arrays(encoded.indices, pa.array(words, pa.string()))
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, column.dictionary_decode())
    return table


def originals_for(ids: IdEncoder | None, *, wanted: bool, known: Path | None) -> OriginalIds | None:
    """Give what writes original ids, where they are `wanted` or a file of `known` ones is given.

    Raises `InvalidSettingError` where there are no keys: without them nothing leads back.
    """
    if not wanted and known is None:
        return None
    if ids is None or not ids.is_on:
        raise InvalidSettingError("id_key_file", "is needed for original ids: without a key nothing"
                                  " leads back from a pseudonym")  # fmt: skip
    return OriginalIds(ids, read_known_ids(known) if known is not None else ())

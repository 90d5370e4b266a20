"""The learned tables in two flat arrays, which compiled code takes in a fraction of the time.

Handing 21 arrays to a kernel costs more than describing a session does.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from micromoment.events.vocabulary import N_EVENT_GROUPS
from micromoment.features._compile import compiled, compiled_into_callers
from micromoment.features.tables import Tables

_WORDS: Final = ("_keys", "_starts")


class PackedTables(NamedTuple):
    """`Tables` one after the other, each flattened in C order.

    `floats` holds those of float64, `words` keys and starts, 64 bits each. `layout`, shape (21, 3),
    holds for each of `Tables`, in order, where it begins, its first length and how many values
    belong to each place of that.
    """

    floats: npt.NDArray[np.float64]
    words: npt.NDArray[np.uint64]
    layout: npt.NDArray[np.int64]


def pack_tables(tables: Tables) -> PackedTables:
    """Put the tables one after the other."""
    floats: list[npt.NDArray[Any]] = []
    words: list[npt.NDArray[Any]] = []
    layout = []
    for name, table in zip(Tables._fields, tables, strict=True):
        kept = words if name.endswith(_WORDS) else floats
        rows = len(table)
        layout.append((sum(map(len, kept)), rows, table.size // rows if rows else 0))
        kept.append(np.ascontiguousarray(table).ravel().view(np.uint64))
    return PackedTables(
        np.concatenate(floats).view(np.float64), np.concatenate(words), np.array(layout, np.int64)
    )


@compiled_into_callers
def unpack_tables(floats: Any, words: Any, layout: Any) -> Tables:
    """Give the tables back, as views, to compiled code."""
    folds = layout[0, 1]
    begin = layout[0, 0]
    groups = floats[begin : begin + folds * N_EVENT_GROUPS * N_EVENT_GROUPS]
    return Tables(
        groups.reshape((folds, N_EVENT_GROUPS, N_EVENT_GROUPS)),
        _vector(words, layout[1]),
        _matrix(floats, layout[2]),
        _vector(words, layout[3]),
        _matrix(floats, layout[4]),
        _vector(words, layout[5]),
        _matrix(floats, layout[6]),
        _vector(words, layout[7]),
        _matrix(floats, layout[8]),
        _vector(words, layout[9]),
        _matrix(floats, layout[10]),
        _vector(floats, layout[11]),
        _vector(words, layout[12]).view(np.int64),
        _vector(floats, layout[13]),
        _vector(words, layout[14]),
        _matrix(floats, layout[15]),
        _vector(words, layout[16]).view(np.int64),
        _vector(floats, layout[17]),
        _vector(words, layout[18]),
        _matrix(floats, layout[19]),
        _vector(floats, layout[20]),
    )


@compiled
def _vector(values: Any, place: Any) -> Any:
    return values[place[0] : place[0] + place[1]]


@compiled
def _matrix(values: Any, place: Any) -> Any:
    return values[place[0] : place[0] + place[1] * place[2]].reshape((place[1], place[2]))

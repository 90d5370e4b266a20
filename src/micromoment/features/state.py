"""The session state: one fixed-size record, composed from the families' fields.

`STATE_VERSION` is part of every store's key. Raise it when a field changes its meaning, its place
or its size; a state of another version is never read.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.features.families import (
    acts,
    assignment,
    cart,
    checkout,
    context,
    core,
    customer,
    encodings,
    items,
    pages,
    popularity,
    sequence,
    timing,
    user,
)

STATE_VERSION: Final = 3
# Fields that took the place of padding without a new version. It was zero, which must mean nothing
# to them: a state from before is read as it is, and a server from before leaves the bytes alone.
ADDED_IN_PADDING: Final = frozenset({"consent"})
MAX_STATE_BYTES: Final = 2_560

FAMILIES: Final = (
    core,
    timing,
    items,
    cart,
    checkout,
    pages,
    acts,
    context,
    encodings,
    popularity,
    sequence,
    customer,
    user,
    assignment,
)


def _compose() -> np.dtype[Any]:
    fields: list[Any] = [field for family in FAMILIES for field in family.STATE_FIELDS]
    return np.dtype(fields, align=True)


STATE: Final = _compose()


def _capped() -> tuple[tuple[struct.Struct, int, int], ...]:
    """Give how to read each field that has a cap, its place and its cap."""
    caps = {
        name: cap for family in FAMILIES for name, cap in getattr(family, "STATE_CAPS", {}).items()
    }
    fields = dict(STATE.fields or {})
    return tuple((_reader(fields[name][0]), fields[name][1], cap) for name, cap in caps.items())


def _reader(kind: np.dtype[Any]) -> struct.Struct:
    count = kind.itemsize // kind.base.itemsize
    # NumPy's letters are those of native types; bytes are read at once.
    return struct.Struct(f"@{count}{kind.base.char}" if kind.base.itemsize > 1 else f"{count}s")


_CAPPED: Final = _capped()


def new_state() -> npt.NDArray[Any]:
    """Make the state of a session without events, shape (1,), dtype `STATE`."""
    return np.zeros(1, STATE)


def is_sound(data: bytes) -> bool:
    """Tell whether bytes from elsewhere can be a session's state, so that kernels may read them.

    Kernels check no bounds: a count beyond its places would let them read and write elsewhere.
    """
    if len(data) != STATE.itemsize:
        return False
    for reader, place, cap in _CAPPED:
        read = reader.unpack_from(data, place)
        values = read[0] if isinstance(read[0], bytes) else read
        if min(values) < 0 or max(values) > cap:
            return False
    return True

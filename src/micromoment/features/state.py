"""The session state: one fixed-size record, composed from the families' fields.

`STATE_VERSION` is part of every store's key. Raise it when a field changes its meaning, its place
or its size; a state of another version is never read.
"""

from __future__ import annotations

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


def new_state() -> npt.NDArray[Any]:
    """Make the state of a session without events, shape (1,), dtype `STATE`."""
    return np.zeros(1, STATE)

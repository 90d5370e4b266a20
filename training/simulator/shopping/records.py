"""The simulator's fixed-size records."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.simulator.shopping.codes import N_CATEGORIES

N_STYLES: Final = 4
SHELF_LENGTH: Final = 12
CART_LINES: Final = 8
# Items that a shopper remembers having looked at.
LOOKS: Final = 12

_CART_FIELDS: Final[list[tuple[Any, ...]]] = [
    ("cart_lines", "i2"),
    ("cart_items", "i2", (CART_LINES,)),
    ("cart_quantities", "i2", (CART_LINES,)),
]

# A visitor: traits that never change, then what visits leave behind. `budget` is in dollars.
SHOPPER: Final = np.dtype(
    [
        ("first_us", "i8"),
        ("budget", "f8"),
        ("thrift", "f8"),
        ("patience", "f8"),
        ("caution", "f8"),
        ("need", "f8"),
        ("taste", "f8", (N_CATEGORIES,)),
        ("style", "f8", (N_STYLES,)),
        ("on_phone", "u1"),
        ("channel", "u1"),
        ("loyalty", "f8"),
        ("visits", "i4"),
        ("last_order_us", "i8"),
        *_CART_FIELDS,
    ],
    align=True,
)

# A visit in progress: all that its future depends on, besides the shopper's traits.
VISIT: Final = np.dtype(
    [
        ("time_us", "i8"),
        ("intent", "f8"),
        ("desire", "f8"),
        ("doubt", "f8"),
        ("steps", "i4"),
        ("mission", "i2"),
        ("shelf", "i2"),
        ("item", "i2"),
        ("target", "i2"),
        ("page", "u1"),
        ("has_read", "u1"),
        ("next_act", "u1"),
        ("first_ever", "u1"),
        ("policy_read", "u1"),
        ("address_given", "u1"),
        ("order_set", "u1"),
        ("converted", "u1"),
        ("ended", "u1"),
        ("n_looks", "i2"),
        ("looked_items", "i2", (LOOKS,)),
        ("look_counts", "i2", (LOOKS,)),
        *_CART_FIELDS,
    ],
    align=True,
)

# One row of the export, still in codes. `step` numbers the session's batches from 1; `order_set`
# tells whether a purchase's transaction_id is filled in.
ROW: Final = np.dtype(
    [
        ("session", "i4"),
        ("step", "i4"),
        ("time_us", "i8"),
        ("engagement_ms", "i4"),
        ("shelf", "i2"),
        ("item", "i2"),
        ("quantity", "i2"),
        ("kind", "u1"),
        ("page", "u1"),
        ("holds", "u1"),
        ("order_set", "u1"),
        *_CART_FIELDS,
    ],
    align=True,
)

# A visit as it was. `stream` is the state of its random stream just after the opening.
SESSION: Final = np.dtype(
    [
        ("shopper", "i4"),
        ("number", "i4"),
        ("start_us", "i8"),
        ("end_us", "i8"),
        ("stream", "u8"),
        ("channel", "u1"),
        ("converted", "u1"),
    ],
    align=True,
)

Records = npt.NDArray[np.void]
# One element of a record array: NumPy has no type for "a record with these fields".
Record = Any

"""LightGBM's parameters that all models share."""

from __future__ import annotations

from typing import Any, Final

METRIC: Final = "binary_logloss"

# Two runs give one model, bit by bit.
REPEATABLE: Final[dict[str, Any]] = {
    "objective": "binary",
    "metric": METRIC,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}

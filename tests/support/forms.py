"""Quick and long forms of a test: sizes for `make test`, and for `make soak` (SOAK=1)."""

from __future__ import annotations

import os
from typing import Final, TypeVar

IS_LONG: Final = os.environ.get("SOAK", "") == "1"

_T = TypeVar("_T")


def in_form(quick: _T, long: _T) -> _T:
    """Choose by the form that runs."""
    return long if IS_LONG else quick

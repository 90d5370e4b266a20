"""Keys of category paths."""

from __future__ import annotations

from collections.abc import Sequence

from micromoment.events.hashing import hash_id

_SEPARATOR = "\x1f"


def category_key(path: Sequence[str]) -> int:
    """Hash a whole path, broadest level first; the empty path gives 0."""
    return hash_id(_SEPARATOR.join(path))


def top_category_key(path: Sequence[str]) -> int:
    """Hash the first level; the empty path gives 0.

    A separator inside a level ends it, so that a path means the same before and after joining.
    """
    return hash_id(path[0].partition(_SEPARATOR)[0]) if path else 0

"""Finding things in sorted arrays."""

from typing import Any

import numpy as np

from micromoment.features.lookup import count_below, look_up


def test_look_up_finds_every_key_and_no_other() -> None:
    """Of sorted keys, the largest 64-bit ones included, each gives its value; others are absent."""
    keys = np.array([1, 5, 2**63, 2**64 - 1], np.uint64)
    values = np.array([1.0, 2.0, 3.0, 4.0])
    others: Any = np.array([0, 2, 2**63 - 1, 2**64 - 2], np.uint64)
    known: Any = keys
    for key, value in zip(known, values, strict=True):
        assert look_up(keys, values, key, -1.0) == value
    for key in others:
        assert look_up(keys, values, key, -1.0) == -1.0
    assert look_up(keys[:0], values[:0], known[0], 0.25) == 0.25


def test_values_below_are_counted() -> None:
    """Of 1, 2, 2 and 5 none is below 1, one below 2, three below 5, and all below 6."""
    ascending = np.array([1.0, 2.0, 2.0, 5.0])
    counts = [count_below(ascending, value) for value in (0.0, 1.0, 2.0, 2.5, 5.0, 6.0)]
    assert counts == [0, 0, 1, 3, 3, 4]
    assert count_below(ascending[:0], 1.0) == 0

"""Finding things in sorted arrays, compiled."""

from __future__ import annotations

from typing import Any

from micromoment.features._compile import compiled


@compiled
def count_below(ascending: Any, value: Any) -> int:
    """Count the values of a sorted array that are below `value`: where it stands or would stand."""
    low = 0
    high = len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def look_up(keys: Any, values: Any, key: int, absent: float) -> float:
    """Find a key among n sorted ones and give its value of n, `absent` when it isn't there."""
    place = count_below(keys, key)
    if place < len(keys) and keys[place] == key:
        return float(values[place])
    return absent

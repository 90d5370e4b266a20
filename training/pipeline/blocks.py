"""Blocks of time: days to fit on, and the days after them to judge, stop and calibrate by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from micromoment.errors import NotEnoughDataError

_LATER_SHARE: Final = 0.2
_MOST_BLOCKS: Final = 3
MIN_DAYS: Final = 3


@dataclass(frozen=True, slots=True)
class Block:
    """Days to fit on, and the days right after them; both in order, none shared."""

    fit: tuple[date, ...]
    later: tuple[date, ...]


def forward_blocks(days: list[date]) -> tuple[Block, ...]:
    """Walk forward over the last days: up to three blocks, each later one fits on more.

    A block's later days are a fifth of all, at least one; they follow one another up to the last
    day. The first block fits on about two fifths, never on less than two fifths of what the last
    fits on.
    Raises `NotEnoughDataError` below three days.
    """
    if len(days) < MIN_DAYS:
        raise NotEnoughDataError(
            f"training needs {MIN_DAYS} days of events or more, there are {len(days)}"
        )
    size = max(1, round(len(days) * _LATER_SHARE))
    ends = [len(days) - size * back for back in range(_MOST_BLOCKS)]
    largest = ends[0] - size
    kept = [end for end in ends if 5 * (end - size) >= 2 * largest and end - size >= 2]
    return tuple(
        Block(tuple(days[: end - size]), tuple(days[end - size : end])) for end in reversed(kept)
    )

"""Decision rows parted by time: rows to fit on and later ones to judge; where they are enough."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np

from micromoment.errors import NotEnoughDataError
from training.models.conversion import Split
from training.models.rows import DecisionRows
from training.pipeline.blocks import Block, forward_blocks

MIN_BUYERS: Final = 20  # visits with an order still to come, on either side
LOOK_AHEAD: Final = 3_650  # days; what takes longer is never
SIDES: Final = ("to fit on", "to calibrate on")


def split_rows(rows: DecisionRows, block: Block) -> Split:
    """Part the rows of a block; a visit that crosses midnight between the sides is on neither."""
    fit = np.isin(rows.day, [day.toordinal() for day in block.fit])
    later = np.isin(rows.day, [day.toordinal() for day in block.later])
    crossing = np.isin(rows.session, np.intersect1d(rows.session[fit], rows.session[later]))
    return rows.take(fit & ~crossing), rows.take(later & ~crossing)


def usable_splits(rows: DecisionRows, blocks: Sequence[Block]) -> list[Split]:
    """Part the rows by all blocks that have enough buyers on both sides.

    Raises `NotEnoughDataError` when the last block has too few.
    """
    splits = []
    for block in blocks:
        split = split_rows(rows, block)
        few = min((side.buyers, name) for side, name in zip(split, SIDES, strict=True))
        if few[0] >= MIN_BUYERS:
            splits.append(split)
        elif block is blocks[-1]:
            left = days_left(tuple(side.buyers for side in split), (*block.fit, *block.later))
            more = "more days" if left is None else f"about {left} more days"
            raise NotEnoughDataError(
                f"the days {few[1]} hold {few[0]} visits with an order still to come; "
                f"{MIN_BUYERS} are needed: give {more} "
                "(`micromoment readiness` with the same --until counts them)"
            )
    return splits


def days_left(buyers: Sequence[int], days: Sequence[date]) -> int | None:
    """Tell after how many more days both sides of the last block of `days` have enough buyers.

    `buyers` are those of both sides now, and as many are taken to come each day as came so far.
    None where it is never so.
    """
    if min(buyers) >= MIN_BUYERS:
        return 0
    if not days:
        return None
    rate = sum(buyers) / len(days)
    for count in range(len(days) + 1, len(days) + LOOK_AHEAD) if rate else ():
        block = forward_blocks([days[0] + timedelta(days=one) for one in range(count)])[-1]
        if min(len(block.fit), len(block.later)) * rate >= MIN_BUYERS:
            return count - len(days)
    return None

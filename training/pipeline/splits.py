"""Decision rows parted by time: rows to fit on and later ones to judge; where they are enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from micromoment.errors import NotEnoughDataError
from training.models.conversion import Split
from training.models.rows import DecisionRows
from training.pipeline.blocks import Block

MIN_BUYERS: Final = 20  # visits with an order still to come, on either side
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
            raise NotEnoughDataError(
                f"the days {few[1]} hold {few[0]} visits with an order still to come; "
                f"{MIN_BUYERS} are needed: give more days"
            )
    return splits

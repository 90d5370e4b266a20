"""What a model needs, what is there, and when it will be enough at the present rate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import ceil

from training.pipeline.blocks import MIN_DAYS
from training.pipeline.splits import LOOK_AHEAD, MIN_BUYERS, days_left


@dataclass(frozen=True, slots=True)
class Need:
    """One condition of a model. `days_left` are days at the present rate, None where never.

    A `wanted` condition spoils nothing where it doesn't hold: `instead` says what training does.
    """

    model: str
    what: str
    needed: int
    there: int
    days_left: int | None
    instead: str = ""

    @property
    def enough(self) -> bool:
        """Whether the condition holds now."""
        return self.there >= self.needed


@dataclass(frozen=True, slots=True)
class Readiness:
    """All conditions; `days` from the first to the last, both included."""

    first_day: date
    last_day: date
    events: int
    needs: tuple[Need, ...]

    def enough(self, model: str) -> bool:
        """Whether every condition of a model holds."""
        return all(need.enough for need in self.needs if need.model == model)


def growing(model: str, what: str, needed: int, there: int, days: int, instead: str = "") -> Need:
    """State a count that grows by the same each day."""
    left: int | None = max(0, needed - there)
    if left:
        left = ceil(left * days / there) if there else None
    return Need(
        model, what, needed, there, left if left is None or left <= LOOK_AHEAD else None, instead
    )


def spanning(model: str, what: str, needed: int, span: int, instead: str = "") -> Need:
    """State a number of days of data."""
    return Need(model, what, needed, span, max(0, needed - span), instead)


def buying(sides: tuple[int, int], days: list[date]) -> tuple[Need, Need]:
    """State the visits with an order on both sides of the last block of `days`.

    More days make both sides longer, as `forward_blocks` does.
    """
    left = days_left(sides, days)
    names = ("visits with an order, days to fit on", "visits with an order, days to calibrate on")
    fit, later = (
        Need("conversion", name, MIN_BUYERS, there, 0 if there >= MIN_BUYERS else left)
        for name, there in zip(names, sides, strict=True)
    )
    return fit, later


def days_of_blocks(days: list[date]) -> Need:
    """State the days that training needs to walk forward at all."""
    return Need("conversion", "days with events", MIN_DAYS, len(days), max(0, MIN_DAYS - len(days)))

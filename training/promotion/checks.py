"""What a gate found: one line for each thing that it looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any


class Verdict(StrEnum):
    """What a check says. What was not judged stands in nobody's way."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, in words and in figures."""

    name: str
    verdict: Verdict
    finding: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON; a figure that isn't defined is None."""
        figures = {name: one if isfinite(one) else None for name, one in self.figures.items()}
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "finding": self.finding,
            "figures": figures,
        }


def checked(name: str, passed: bool, finding: str, **figures: float) -> Check:
    """Make a check that was judged."""
    return Check(name, Verdict.PASSED if passed else Verdict.FAILED, finding, figures)


def not_judged(name: str, finding: str) -> Check:
    """Make a check that says why there is no verdict."""
    return Check(name, Verdict.NOT_JUDGED, finding)


def failures(checks: Iterable[Check]) -> list[Check]:
    """Give the checks that failed."""
    return [one for one in checks if one.verdict is Verdict.FAILED]

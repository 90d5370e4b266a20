"""From raw scores to probabilities, by Platt's two-parameter map (Platt 1999)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp


@dataclass(frozen=True, slots=True)
class PlattCalibrator:
    """`probability = 1 / (1 + exp(-(slope * raw + intercept)))`, raw in log-odds."""

    slope: float
    intercept: float

    def probability(self, raw: float) -> float:
        """Give the probability for one raw score: finite, from 0 to 1, for any finite one."""
        log_odds = self.slope * raw + self.intercept
        if log_odds >= 0:
            return 1.0 / (1.0 + exp(-log_odds))
        odds = exp(log_odds)
        return odds / (1.0 + odds)

    def probabilities(self, raws: Iterable[float]) -> list[float]:
        """Give the probabilities for many raw scores, each the same bits as one by one."""
        return [self.probability(raw) for raw in raws]

"""From raw scores to probabilities, by Platt's two-parameter map (Platt 1999)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, log, log1p
from typing import Final

from micromoment.features._compile import compiled

DEEP_EVENTS: Final = 40  # from here on a visit counts as deep


@dataclass(frozen=True, slots=True)
class PlattCalibrator:
    """`probability = 1 / (1 + exp(-(slope * raw + intercept)))`, raw in log-odds."""

    slope: float
    intercept: float

    def probability(self, raw: float) -> float:
        """Give the probability for one raw score: finite, from 0 to 1, for any finite one."""
        return platt(self.slope, self.intercept, raw)

    def probabilities(self, raws: Iterable[float]) -> list[float]:
        """Give the probabilities for many raw scores, each the same bits as one by one."""
        return [self.probability(raw) for raw in raws]

    def raw_score(self, probability: float) -> float:
        """Give the raw score that a probability above 0 and below 1 came from, but for rounding."""
        return (log(probability) - log1p(-probability) - self.intercept) / self.slope


@dataclass(frozen=True, slots=True)
class DepthCalibrator:
    """Platt's map, changing with the events seen: a score means less after one event than after 40.

    It is `first` after one event and `deep` from `DEEP_EVENTS` on; in between slope and intercept
    follow the logarithm of the number of events.
    """

    first: PlattCalibrator
    deep: PlattCalibrator

    def at(self, events_seen: int) -> PlattCalibrator:
        """Give the map after so many events."""
        depth = depth_of(events_seen)
        first, deep = self.first, self.deep
        return PlattCalibrator(
            between(first.slope, deep.slope, depth),
            between(first.intercept, deep.intercept, depth),
        )

    def probabilities(self, raws: Iterable[float], events_seen: Iterable[int]) -> list[float]:
        """Give the probabilities for many raw scores, each the same bits as one by one."""
        pairs = zip(raws, events_seen, strict=True)
        return [self.at(seen).probability(raw) for raw, seen in pairs]


@compiled
def depth_of(events_seen: int) -> float:
    """Give a visit's depth: 0 after one event, 1 from `DEEP_EVENTS` on, logarithmic in between."""
    return log(min(max(events_seen, 1), DEEP_EVENTS)) / log(DEEP_EVENTS)


@compiled
def between(first: float, deep: float, depth: float) -> float:
    """Give a parameter of Platt's map at a depth."""
    return first + depth * (deep - first)


@compiled
def platt(slope: float, intercept: float, raw: float) -> float:
    """Give Platt's probability for a raw score."""
    log_odds = slope * raw + intercept
    if log_odds >= 0:
        return 1.0 / (1.0 + exp(-log_odds))
    odds = exp(log_odds)
    return odds / (1.0 + odds)

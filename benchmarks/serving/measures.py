"""What is measured of a server under load, and how rounds are summed up."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Load:
    """What a client saw of a run: calls answered, seconds, latencies in milliseconds.

    `reply_bytes` is the mean size of a reply's body, for a check that no reply was an error.
    """

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float
    reply_bytes: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One round of one server. `per_s` and `cpu_us` are of answers: a batch gives many a call.

    `cpu_us` is the server's processor time in microseconds, `rss_mb` its resident memory.
    """

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    rss_mb: float


FIGURES: Final = ("per_s", "p50_ms", "p99_ms", "cpu_us", "rss_mb")
Rounds = list[Measure]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of rounds."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Sum up rounds, at least one."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Divide round by round: what disturbed a round disturbed both."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def quantile(ascending: Sequence[float], share: float) -> float:
    """Give the least of n >= 1 ascending values that `share` of them don't exceed."""
    if not ascending:
        raise ValueError("no value was measured")
    rank = max(-(-int(share * 1_000_000) * len(ascending) // 1_000_000), 1)
    return ascending[rank - 1]


def load_of(latencies_ms: Sequence[float], seconds: float, reply_bytes: float) -> Load:
    """Sum up the latencies of a run, one per call."""
    ascending = sorted(latencies_ms)
    return Load(
        calls=len(ascending),
        seconds=seconds,
        p50_ms=quantile(ascending, 0.5),
        p99_ms=quantile(ascending, 0.99),
        reply_bytes=reply_bytes,
    )


def figure(rounds: Rounds, name: str) -> list[float]:
    """Give one of `FIGURES` of each round."""
    return [float(getattr(one, name)) for one in rounds]

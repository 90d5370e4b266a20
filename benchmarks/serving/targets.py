"""What serving is meant to reach, most of it as ratios of two cases of one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.serving.cases import Results
from benchmarks.serving.measures import Spread, figure, ratios, spread

# Names of cases; an `empty call` is one of the empty service.
EMPTY: Final = "empty call"
SCORE: Final = "Score, dry run"
MLSERVER: Final = "MLServer"
BENTOML: Final = "BentoML"
BATCH: Final = "BatchScore of 64, dry run"
EMPTY_NEW: Final = "empty call, new events"
SCORE_NEW: Final = "Score, new events"
REDIS_NEW: Final = "Score on Redis, new events"
STREAM: Final = "StreamScores"
EMPTY_K6: Final = "empty call, new events, k6"
SCORE_K6: Final = "Score, new events, k6"
SCORE_SWAPPED: Final = "Score while bundles are swapped"

_NEW: Final = "  the same, each call with a new event"
Found = Callable[[Results], list[float] | None]


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach: at least `least`, or at most `most`. `find` gives it for each round."""

    what: str
    find: Found
    least: float | None = None
    most: float | None = None

    @property
    def wanted(self) -> str:
        """Say the target, such as `>= 0.75`."""
        return f">= {self.least:g}" if self.least is not None else f"<= {self.most:g}"

    def is_met(self, found: float) -> bool:
        """Tell whether a figure reaches it."""
        return (self.least is None or found >= self.least) and (
            self.most is None or found <= self.most
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target with what was measured, None where the run has no such case."""

    target: Target
    measured: Spread | None

    @property
    def word(self) -> str:
        """Say `met`, `falls short` or `not measured`."""
        if self.measured is None:
            return "not measured"
        return "met" if self.target.is_met(self.measured.median) else "falls short"


def _speed(ours: tuple[str, int], theirs: tuple[str, int], name: str = "per_s") -> Found:
    def find(results: Results) -> list[float] | None:
        if ours not in results.speed or theirs not in results.speed:
            return None
        return ratios(figure(results.speed[ours], name), figure(results.speed[theirs], name))

    return find


def _at_rate(ours: str, theirs: str) -> Found:
    def find(results: Results) -> list[float] | None:
        if ours not in results.at_rate or theirs not in results.at_rate:
            return None
        return ratios(
            figure(results.at_rate[ours], "p99_ms"), figure(results.at_rate[theirs], "p99_ms")
        )

    return find


def _score_stage(results: Results) -> list[float] | None:
    return [round_["score"].median_us for round_ in results.stages] or None


TARGETS: Final = (
    Target("Score over empty calls: calls/s, 16 in flight", _speed((SCORE, 16), (EMPTY, 16)), 0.75),
    Target(f"{_NEW}, 16 in flight", _speed((SCORE_NEW, 16), (EMPTY_NEW, 16)), 0.75),
    Target(
        "Score over empty calls: p50, 1 in flight",
        _speed((SCORE, 1), (EMPTY, 1), "p50_ms"),
        most=1.6,
    ),
    Target(f"{_NEW}, 1 in flight", _speed((SCORE_NEW, 1), (EMPTY_NEW, 1), "p50_ms"), most=1.6),
    Target(
        "Score over empty calls: p99, new events at half of Score's peak rate",
        _at_rate(SCORE_NEW, EMPTY_NEW),
        most=1.5,
    ),
    Target("  the same from k6", _at_rate(SCORE_K6, EMPTY_K6), most=1.5),
    Target("Score over MLServer: calls/s, 16 in flight", _speed((SCORE, 16), (MLSERVER, 16)), 2.5),
    Target(f"{_NEW}, 16 in flight", _speed((SCORE_NEW, 16), (MLSERVER, 16)), 2.5),
    Target("Score over BentoML: calls/s, 16 in flight", _speed((SCORE, 16), (BENTOML, 16)), 6.0),
    Target(f"{_NEW}, 16 in flight", _speed((SCORE_NEW, 16), (BENTOML, 16)), 6.0),
    Target(
        "StreamScores over Score: new events/s, 64 in flight",
        _speed((STREAM, 64), (SCORE_NEW, 64)),
        1.2,
    ),
    Target(
        "BatchScore of 64, 4 in flight, over Score, 16 in flight: sessions/s",
        _speed((BATCH, 4), (SCORE, 16)),
        6.0,
    ),
    Target(
        "Score inside the server besides gRPC and protobuf: us, median, 1 in flight",
        _score_stage,
        most=50.0,
    ),
    Target(
        "Score on Redis over in memory: new events/s, 16 in flight",
        _speed((REDIS_NEW, 16), (SCORE_NEW, 16)),
        0.5,
    ),
    Target(
        "Score while a bundle is swapped every 2 s over without: p99 at that rate",
        _at_rate(SCORE_SWAPPED, SCORE_NEW),
        most=2.0,
    ),
)


def verdicts(results: Results) -> list[Verdict]:
    """Hold the results against all targets."""
    found = [(target, target.find(results)) for target in TARGETS]
    return [Verdict(target, spread(values) if values else None) for target, values in found]

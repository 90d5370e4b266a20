"""Rounds are summed up by median, least and greatest; ratios are taken round by round."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.serving.cases import Case, Results, measure, run_speed
from benchmarks.serving.measures import (
    Load,
    Measure,
    figure,
    load_of,
    quantile,
    ratios,
    spread,
)
from benchmarks.serving.processes import Running
from benchmarks.serving.targets import SCORE_NEW, TARGETS, Target, verdicts


def test_the_spread_is_median_least_and_greatest() -> None:
    """The order of the rounds doesn't matter."""
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.low, found.high) == (2.0, 1.0, 3.0)


def test_ratios_are_of_the_same_round() -> None:
    """A round that was slow for both changes no ratio."""
    assert ratios([2.0, 20.0], [1.0, 10.0]) == [2.0, 2.0]
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.0, 1)]
)
def test_a_quantile_is_one_of_the_values(share: float, expected: int) -> None:
    """Of 1 to 100 the p99 is 99."""
    assert quantile(range(1, 101), share) == expected


def test_nothing_measured_is_no_quantile() -> None:
    """No value is an error, not a zero."""
    with pytest.raises(ValueError, match="no value"):
        load_of([], 1.0, 0.0)


def measured(per_s: float) -> Measure:
    """Make a round of which only the speed matters."""
    return Measure(per_s, p50_ms=1.0, p99_ms=2.0, cpu_us=3.0, rss_mb=4.0)


LOOKS = iter([1.0, 1.5])


class Busy(Running):
    """A server that took half a second of processor time between two looks."""

    def cpu_s(self) -> float:
        """Give the next look."""
        return next(LOOKS)

    def rss_mb(self) -> float:
        """Give any memory."""
        return 7.0


def test_a_batch_counts_its_answers() -> None:
    """Speed and processor time are those of an answer, latency that of a call."""
    found = measure(Busy(0, 0), lambda: Load(100, 2.0, 10.0, 20.0, 0.0), answers=50)
    assert (found.per_s, found.p50_ms) == (2_500.0, 10.0)
    assert found.cpu_us == pytest.approx(100.0)


class Idle(Running):
    """A server that takes nothing."""

    def cpu_s(self) -> float:
        """Give no processor time."""
        return 0.0

    def rss_mb(self) -> float:
        """Give no memory."""
        return 0.0


def test_cases_take_turns_and_the_first_round_is_thrown_away() -> None:
    """Those with as many calls in flight follow each other; each is ready before it is timed."""
    done: list[str] = []

    def prepare(name: str) -> Callable[[int, float], Callable[[], Load]]:
        def ready(in_flight: int, _seconds: float) -> Callable[[], Load]:
            done.append(f"ready {name} {in_flight}")

            def drive() -> Load:
                done.append(f"run {name} {in_flight}")
                return load_of([1.0], 1.0, 0.0)

            return drive

        return ready

    cases = [Case(name, Idle(0, 0), (1, 16), prepare(name), "a") for name in ("a", "b")]
    results = Results()
    run_speed(cases, 2, 1.0, results, lambda _: None)
    assert done[::2] == [f"ready {name} {n}" for n in (1, 16) for name in ("a", "b")] * 3
    assert done[1::2] == [f"run {name} {n}" for n in (1, 16) for name in ("a", "b")] * 3
    assert {key: len(rounds) for key, rounds in results.speed.items()} == {
        (name, n): 2 for name in ("a", "b") for n in (1, 16)
    }


def test_targets_say_met_short_or_not_measured() -> None:
    """The median decides; without its cases a target is said to be not measured."""
    redis = next(one for one in TARGETS if "Redis" in one.what)
    results = Results(speed={(SCORE_NEW, 16): [measured(100), measured(100), measured(100)]})
    assert {one.word for one in verdicts(results)} == {"not measured"}
    words = {}
    for rate in (49.0, 51.0):
        ours = [measured(10), measured(rate), measured(90)]
        results.speed["Score on Redis, new events", 16] = ours
        (verdict,) = (one for one in verdicts(results) if one.target is redis)
        assert verdict.measured is not None
        words[verdict.measured.median] = verdict.word
    assert words == {0.49: "falls short", 0.51: "met"}


def test_a_target_has_one_side() -> None:
    """Some ratios should be large, some small."""
    assert [t.wanted for t in TARGETS].count(">= 0.75") == 2
    small = Target("x", lambda _: None, most=1.5)
    assert (small.wanted, small.is_met(1.5), small.is_met(1.6)) == ("<= 1.5", True, False)
    assert figure([measured(1), measured(2)], "per_s") == [1, 2]

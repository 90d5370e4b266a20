"""What is measured: servers, and ways of calling them; one round of each after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.serving import h2load
from benchmarks.serving.measures import Load, Measure, Rounds
from benchmarks.serving.processes import Running
from benchmarks.serving.stages import Stage

Drive = Callable[[], Load]
Prepare = Callable[[int, float], Drive]  # calls in flight, seconds
_ROUNDING: Final = 0.01


@dataclass(frozen=True)
class Case:
    """One way of calling one server with so many calls in flight.

    `prepare` makes everything ready for a run that it returns; only the run is timed. A call gives
    `answers` answers. `base` names the case that its figures are divided by.
    """

    name: str
    server: Running
    in_flight: tuple[int, ...]
    prepare: Prepare
    base: str
    answers: int = 1


@dataclass(frozen=True)
class RateCase:
    """Calls at a constant rate, with a base as in `Case`.

    `meanwhile` surrounds each run, to swap bundles say.
    """

    name: str
    server: Running
    prepare: Prepare  # of calls a second instead of calls in flight
    base: str
    meanwhile: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass
class Results:
    """The rounds of each case: by its name and calls in flight, or by name alone at a rate.

    `stages` holds what our server says of the parts of a call, for each round by stage.
    """

    speed: dict[tuple[str, int], Rounds] = field(default_factory=dict)
    at_rate: dict[str, Rounds] = field(default_factory=dict)
    rate: int = 0
    stages: list[dict[str, Stage]] = field(default_factory=list)


def repeated(program: str, target: h2load.Target, log: Path, *, reply_bytes: float) -> Prepare:
    """Call with h2load. Raises `H2loadError` where replies are smaller than expected.

    An error would be shorter: over gRPC it has no body at all.
    """

    def prepare(in_flight: int, seconds: float) -> Drive:
        def drive() -> Load:
            load = h2load.run(program, target, in_flight, seconds, log)
            # Parts of replies that came after the end add to the mean, so that it may be larger.
            if load.reply_bytes < reply_bytes - _ROUNDING:
                raise h2load.H2loadError(
                    f"{target.url}: replies have {load.reply_bytes:.1f} bytes on average, not "
                    f"{reply_bytes:.0f}: some were errors"
                )
            return load

        return drive

    return prepare


def run_speed(
    cases: Iterable[Case],
    rounds: int,
    seconds: float,
    results: Results,
    note: Callable[[str], None],
) -> None:
    """Measure all cases round by round; a first round warms up and isn't kept.

    In a round, cases with as many calls in flight follow each other: they are compared.
    """
    cells = [(case, in_flight) for case in cases for in_flight in case.in_flight]
    cells.sort(key=lambda cell: cell[1])
    for number in range(rounds + 1):
        for case, in_flight in cells:
            note(f"{_place(number, rounds)}: {case.name}, {in_flight} in flight")
            drive = case.prepare(in_flight, seconds)
            measured = measure(case.server, drive, case.answers)
            if number > 0:
                results.speed.setdefault((case.name, in_flight), []).append(measured)


def run_at_rate(
    cases: Iterable[RateCase],
    rounds: int,
    seconds: float,
    results: Results,
    note: Callable[[str], None],
) -> None:
    """Measure all cases at `results.rate` calls a second, as `run_speed` does."""
    cases = list(cases)
    for number in range(rounds + 1):
        for case in cases:
            note(f"{_place(number, rounds)}: {case.name}, {results.rate} calls a second")
            drive = case.prepare(results.rate, seconds)
            with case.meanwhile():
                measured = measure(case.server, drive)
            if number > 0:
                results.at_rate.setdefault(case.name, []).append(measured)


def run_stages(
    prepare: Prepare, look: Callable[[], dict[str, Stage]], rounds: int, seconds: float
) -> list[dict[str, Stage]]:
    """Call with one in flight and give what that added to the server's own histograms."""
    found = []
    for _ in range(rounds):
        drive = prepare(1, seconds)
        before = look()
        drive()
        after = look()
        added = {name: stage.since(before.get(name)) for name, stage in after.items()}
        found.append({name: stage for name, stage in added.items() if stage.calls})
    return found


def measure(server: Running, drive: Drive, answers: int = 1) -> Measure:
    """Run once and take the server's processor time and memory."""
    before = server.cpu_s()
    load = drive()
    spent = server.cpu_s() - before
    answered = load.calls * answers
    return Measure(
        per_s=answered / load.seconds,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        cpu_us=spent / answered * 1e6,
        rss_mb=server.rss_mb(),
    )


def _place(number: int, rounds: int) -> str:
    return f"round {number} of {rounds}" if number else "warm-up"

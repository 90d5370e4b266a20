"""Serving benchmark: `python -m benchmarks.serving [--quick] [--store FOLDER --bundle TAG]`."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.latency import Served
from benchmarks.serving import h2load, k6, machine, report, simulated
from benchmarks.serving import targets as names
from benchmarks.serving.cases import Results, run_at_rate, run_speed, run_stages
from benchmarks.serving.environments import environment, installed
from benchmarks.serving.errors import BenchmarkError
from benchmarks.serving.line_up import LineUp, Others, Tools, line_up
from benchmarks.serving.measures import figure
from micromoment.errors import MicromomentError

_CASE_S: Final = 3.0
_QUICK_CASE_S: Final = 0.7
_RATE_S: Final = 10.0
_QUICK_RATE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How many rounds, and seconds of each case in a round; at a rate a case takes longer."""

    rounds: int
    seconds: float
    rate_seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; its status tells nothing of the figures."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.features and not given.store:
        parser.error("--features belongs to a bundle: give --store, too")
    rounds = given.rounds or (2 if given.quick else 5)
    plan = Plan(
        rounds,
        _QUICK_CASE_S if given.quick else _CASE_S,
        _QUICK_RATE_S if given.quick else _RATE_S,
    )
    tools = _tools(alone=given.alone)
    if given.store:
        served = Served(given.store.resolve(), given.bundle, given.features)
    else:
        served = simulated.trained_once()
    with TemporaryDirectory() as temporary, ExitStack() as stack:
        here = {"machine": machine.machine()}
        servers = line_up(stack, served, tools, Path(temporary))
        results = _measured(servers, plan)
        _show(servers, results, plan, given.out, here | _versions(tools))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description=__doc__)
    parser.add_argument("--store", type=Path, help="folder of the bundle store; else simulated")
    parser.add_argument("--bundle", default="shop:latest")
    parser.add_argument("--features", type=Path, help="feature workspace of that bundle")
    parser.add_argument("--quick", action="store_true", help="2 short rounds instead of 5")
    parser.add_argument(
        "--alone", action="store_true", help="only our server and the empty one, without k6"
    )
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/serving.json"))
    return parser


def _tools(*, alone: bool) -> Tools:
    others = None
    if not alone:
        others = Others(
            k6=environment("k6") / "k6",
            mlserver=environment("mlserver"),
            bentoml=environment("bentoml"),
        )
    return Tools(h2load.find_h2load(), others)


def _measured(servers: LineUp, plan: Plan) -> Results:
    results = Results()
    note = _progress()
    run_speed(servers.cases, plan.rounds, plan.seconds, results, note)
    note(f"the parts of {names.SCORE_NEW}")
    results.stages = run_stages(servers.kept, servers.stages, plan.rounds, plan.seconds)
    peaks = [
        statistics.median(figure(rounds, "per_s"))
        for (name, _), rounds in results.speed.items()
        if name == names.SCORE_NEW
    ]
    results.rate = max(round(max(peaks) / 2), 1)
    run_at_rate(servers.rate_cases, plan.rounds, plan.rate_seconds, results, note)
    note("")
    return results


def _progress() -> Callable[[str], None]:
    """Overwrite one line of a terminal; elsewhere say nothing but the rounds."""
    told: set[str] = set()

    def note(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
            return
        round_name = text.partition(":")[0]
        if round_name and round_name not in told:
            told.add(round_name)
            print(round_name, file=sys.stderr, flush=True)

    return note


def _show(
    servers: LineUp, results: Results, plan: Plan, out: Path, about: Mapping[str, Any]
) -> None:
    tables = [
        (
            f"{plan.rounds} rounds: median (least, greatest)",
            report.TITLES,
            report.figure_rows(results),
        ),
        (
            "Over the empty service, called in the same way in the same round",
            report.TITLES,
            report.ratio_rows(servers.cases, servers.rate_cases, results),
        ),
        ("Targets", report.VERDICT_TITLES, report.verdict_rows(names.verdicts(results))),
    ]
    for title, head, rows in tables:
        report.print_table(title, head, rows)
    notes = [_here(about["machine"]), *_notes(servers, results)]
    print("\n".join(notes))
    run = {
        "bundle": servers.bundle,
        "empty_service": servers.empty_service,
        "plan": asdict(plan),
        "notes": notes,
    }
    report.write_json(out, results, {**about, **run})
    markdown = out.with_suffix(".md")
    parts = [report.markdown(head, rows) for _, head, rows in tables]
    parts.append("".join(f"- {note}\n" for note in notes))
    markdown.write_text("\n".join(parts), encoding="utf-8")
    print(f"wrote {out} and {markdown}")


def _notes(servers: LineUp, results: Results) -> list[str]:
    dry, new = (
        statistics.median(figure(results.speed[name, 16], "cpu_us"))
        for name in (names.SCORE, names.SCORE_NEW)
    )
    empty = ", ".join(f"{kind} {rate:,.0f}/s" for kind, rate in servers.empty_service.items())
    parts = ", ".join(
        f"{name} {statistics.median(one[name].mean_us for one in results.stages):.0f} us"
        for name in results.stages[0]
        if all(name in one for one in results.stages)
    )
    notes = [
        f"empty service, 16 in flight: {empty}; the faster one is the base",
        (
            f"control: a dry run takes {dry:.0f} us of the server's CPU, one with a "
            f"new event that is kept {new:.0f} us: {dry / new:.2f}"
        ),
        f"inside the server, 1 in flight, mean: {parts}",
    ]
    if servers.late_of_k6 is not None:
        notes.append(f"calls that k6 could not begin in time: {servers.late_of_k6()}")
    return notes


def _here(found: Mapping[str, Any]) -> str:
    busy = f"load {found['load']} at the start, {machine.load()} at the end"
    return f"{found['date']}, {found['cpu']}, {found['cores']} cores, {busy}"


def _versions(tools: Tools) -> dict[str, Any]:
    found: dict[str, Any] = {
        "packages": machine.packages(),
        "h2load": h2load.version(tools.h2load),
    }
    if tools.others is not None:
        found["k6"] = k6.version(tools.others.k6)
        found["mlserver"] = installed(tools.others.mlserver)
        found["bentoml"] = installed(tools.others.bentoml)
    return found


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchmarkError, MicromomentError) as error:
        sys.exit(f"benchmarks.serving: {error}")

"""Shows results: tables on the console, Markdown for RESULTS.md, JSON with all rounds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.serving.cases import Case, RateCase, Results
from benchmarks.serving.measures import FIGURES, Rounds, Spread, figure, ratios, spread
from benchmarks.serving.targets import Verdict

TITLES: Final = ("case", "load", "answers/s", "p50 ms", "p99 ms", "CPU us/answer", "RSS MB")
_WIDTH: Final = 160
Row = list[str]


def figure_rows(results: Results) -> list[Row]:
    """Write a row of figures for each case: the rounds' median [least, greatest]."""
    return [
        [name, load, *(_cell(one, spread(figure(rounds, one))) for one in FIGURES)]
        for name, load, rounds in _all_rounds(results)
    ]


def ratio_rows(
    cases: Sequence[Case], rate_cases: Sequence[RateCase], results: Results
) -> list[Row]:
    """Write a row for each case with a base: its figures over the base's, round by round."""
    bases = {case.name: case.base for case in cases}
    bases |= {case.name: case.base for case in rate_cases}
    rows = []
    for (name, in_flight), rounds in results.speed.items():
        base = results.speed.get((bases[name], in_flight))
        if base is not None and base is not rounds:
            rows.append([name, _in_flight(in_flight), *_over(rounds, base)])
    for name, rounds in results.at_rate.items():
        base = results.at_rate.get(bases[name])
        if base is not None and base is not rounds:
            rows.append([name, _at_rate(results), *_over(rounds, base)])
    return rows


def _all_rounds(results: Results) -> list[tuple[str, str, Rounds]]:
    speed = [(name, _in_flight(number), one) for (name, number), one in results.speed.items()]
    return [*speed, *((name, _at_rate(results), one) for name, one in results.at_rate.items())]


def _in_flight(number: int) -> str:
    return f"{number} in flight"


def _at_rate(results: Results) -> str:
    return f"{results.rate} a second"


def _over(rounds: Rounds, base: Rounds) -> Row:
    return [shown(spread(ratios(figure(rounds, name), figure(base, name)))) for name in FIGURES]


def _cell(name: str, found: Spread) -> str:
    digits = 2 if name.endswith("_ms") else 0
    low, high = (f"{value:,.{digits}f}" for value in (found.low, found.high))
    return f"{found.median:,.{digits}f} [{low}, {high}]"


def shown(found: Spread) -> str:
    """Write a ratio's median [least, greatest]."""
    return f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]"


def verdict_rows(found: Iterable[Verdict]) -> list[Row]:
    """Write a row for each target: what, wanted, measured, met or not."""
    return [
        [one.target.what, one.target.wanted, shown(one.measured) if one.measured else "", one.word]
        for one in found
    ]


VERDICT_TITLES: Final = ("figure", "target", "measured", "")


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, in full width where there is no terminal."""
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for number, name in enumerate(head):
        # Square brackets are words of rich's markup, unless escaped.
        table.add_column(escape(name), justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(table)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def write_json(path: Path, results: Results, about: Mapping[str, Any]) -> None:
    """Write all rounds with what is known about the run; the folder is made."""
    content = {
        **about,
        "speed": [
            {"case": name, "in_flight": in_flight, "rounds": [asdict(one) for one in rounds]}
            for (name, in_flight), rounds in results.speed.items()
        ],
        "rate": results.rate,
        "stages_mean_us": [
            {name: stage.mean_us for name, stage in one.items()} for one in results.stages
        ],
        "at_rate": [
            {"case": name, "rounds": [asdict(one) for one in rounds]}
            for name, rounds in results.at_rate.items()
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

"""Shows results: tables on the console, Markdown for `benchmarks/RESULTS.md`, JSON with all rounds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.serving.cases import Case, RateCase, Results
from benchmarks.serving.measures import FIGURES, Rounds, Spread, figure, ratios, spread
from benchmarks.serving.targets import Verdict

_TITLES: Final = {
    "per_s": "answers/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "cpu_us": "CPU us/answer",
    "rss_mb": "RSS MB",
}
_WIDTH: Final = 160
Row = list[str]


def rows_of(cases: Sequence[Case], rate_cases: Sequence[RateCase], results: Results) -> list[Row]:
    """Write a row for each case and number of calls in flight: figures, then those over the base's.

    Each figure is the rounds' median [least, greatest]; ratios are taken round by round.
    """
    rows = []
    for case in cases:
        for in_flight in case.in_flight:
            rounds = results.speed[case.name, in_flight]
            base = results.speed.get((case.base, in_flight))
            rows.append([case.name, str(in_flight), *_figures(rounds, base)])
    base_name = rate_cases[0].name if rate_cases else ""
    for rate_case in rate_cases:
        rounds = results.at_rate[rate_case.name]
        base = results.at_rate[base_name]
        rows.append([rate_case.name, f"{results.rate}/s", *_figures(rounds, base)])
    return rows


def _figures(rounds: Rounds, base: Rounds | None) -> Row:
    cells = []
    for name in FIGURES:
        values = figure(rounds, name)
        cells.append(_cell(name, spread(values)))
        over = spread(ratios(values, figure(base, name))) if base and base is not rounds else None
        cells.append("" if over is None else shown(over))
    return cells


def _cell(name: str, found: Spread) -> str:
    digits = 2 if name.endswith("_ms") else 0
    low, high = (f"{value:,.{digits}f}" for value in (found.low, found.high))
    return f"{found.median:,.{digits}f} [{low}, {high}]"


def shown(found: Spread) -> str:
    """Write a ratio's median [least, greatest]."""
    return f"{found.median:.2f} [{found.low:.2f}, {found.high:.2f}]"


def titles() -> Row:
    """Give the titles of `rows_of`."""
    figures = [title for name in FIGURES for title in (_TITLES[name], "over base")]
    return ["case", "in flight", *figures]


def verdict_rows(found: Iterable[Verdict]) -> list[Row]:
    """Write a row for each target: what, wanted, measured, met or not."""
    return [
        [one.target.what, one.target.wanted, shown(one.measured) if one.measured else "", one.word]
        for one in found
    ]


VERDICT_TITLES: Final = ["figure", "target", "median [min, max]", ""]


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, wide enough for all columns also where there is no terminal."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number == 0 else "right", no_wrap=number > 0)
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(_WIDTH, console.measure(table).maximum))
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
        "at_rate": [
            {"case": name, "rounds": [asdict(one) for one in rounds]}
            for name, rounds in results.at_rate.items()
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

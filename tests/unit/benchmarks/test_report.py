"""How results are written: rows, Markdown, JSON."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.serving.cases import Case, Results
from benchmarks.serving.measures import Measure
from benchmarks.serving.processes import Running
from benchmarks.serving.report import TITLES, figure_rows, markdown, ratio_rows, write_json


def results() -> tuple[list[Case], Results]:
    """Make two cases of two rounds, the second half as fast as the first."""
    server = Running(0, 0)
    cases = [
        Case(name, server, (1,), lambda *_: lambda: None, "empty call")  # type: ignore[arg-type]
        for name in ("empty call", "Score")
    ]
    rounds = [Measure(1_000.0, 1.0, 2.0, 100.0, 50.0), Measure(2_000.0, 1.5, 3.0, 100.0, 50.0)]
    halves = [Measure(r.per_s / 2, r.p50_ms, r.p99_ms, r.cpu_us, r.rss_mb) for r in rounds]
    return cases, Results({("empty call", 1): rounds, ("Score", 1): halves})


def test_rows_hold_figures_and_ratios() -> None:
    """Figures are of all cases, ratios of those with another one as their base."""
    cases, found = results()
    rows = figure_rows(found)
    assert rows[1][:4] == ["Score", "1 in flight", "750 [500, 1,000]", "1.25 [1.00, 1.50]"]
    (row,) = ratio_rows(cases, [], found)
    assert row[:4] == ["Score", "1 in flight", "0.50 [0.50, 0.50]", "1.00 [1.00, 1.00]"]
    table = markdown(TITLES, rows).splitlines()
    assert len(table) == 4
    assert {line.count("|") for line in table} == {len(TITLES) + 1}


def test_json_holds_every_round(tmp_path: Path) -> None:
    """What was known about the run stands beside the rounds."""
    file = tmp_path / "new" / "out.json"
    write_json(file, results()[1], {"bundle": "shop:1"})
    content = json.loads(file.read_text())
    assert content["bundle"] == "shop:1"
    assert [one["per_s"] for one in content["speed"][1]["rounds"]] == [500.0, 1_000.0]

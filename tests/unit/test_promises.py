"""Every promise has a test named by its id and a line with the figure that it reached."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMISED = {
    *(f"A{number}" for number in range(1, 6)),
    *(f"B{number}" for number in range(1, 7)),
    *(f"C{number}" for number in range(1, 11)),
    *(f"D{number}" for number in (1, 2, 3, 4, 6)),
    *(f"E{number}" for number in (1, 2, 3, 5)),
    *(f"F{number}" for number in range(1, 9)),
}


def test_every_promise_has_a_test_named_by_it() -> None:
    """`make soak ARGS="-k a1"` finds one; none is of a promise that was not made."""
    sources = (ROOT / "tests/promises").glob("test_*.py")
    names = [name for source in sources for name in _tests(source.read_text(encoding="utf-8"))]
    assert {name.split("_")[1].upper() for name in names} == PROMISED


def test_every_promise_has_a_line_with_its_figure() -> None:
    """Promise, figure and command are all there, once."""
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = [
        line.strip("|").split(" | ") for line in text.splitlines() if re.match(r"\| [A-F]\d", line)
    ]
    assert sorted(row[0].strip() for row in rows) == sorted(PROMISED)
    for row in rows:
        assert len(row) == 4, row
        assert re.search(r"\d", row[2]), row
        assert "pytest" in row[3] or "make" in row[3], row


def _tests(source: str) -> list[str]:
    return re.findall(r"^(?:async )?def (test_\w+)\(", source, re.MULTILINE)

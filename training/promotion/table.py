"""Checks and promotions in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from training.promotion.checks import Check, Verdict
from training.promotion.log import Record

_COLOURS: Final = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.NOT_JUDGED: "yellow"}


def checks_table(checks: Sequence[Check], title: str) -> Table:
    """Compose a line for each check: its name, the verdict, what was found."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("check", "verdict", "found"):
        table.add_column(heading, no_wrap=heading != "found", overflow="fold")
    for one in checks:
        colour = _COLOURS[one.verdict]
        table.add_row(one.name, f"[{colour}]{one.verdict.value}[/]", escape(one.finding))
    return table


def log_table(records: Sequence[Record], serving: str) -> Table:
    """Compose a line for each record, the newest last; the version that serves has a star."""
    table = Table(title="Promotions", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("time (UTC)", "who", "what", "before", "after", "forced", "failed", "reason"):
        table.add_column(heading, no_wrap=heading in ("time (UTC)", "what"), overflow="fold")
    for place, one in enumerate(records):
        failed = [check["name"] for check in one.checks if check["verdict"] == Verdict.FAILED]
        newest = place == len(records) - 1
        after = f"{one.after} *" if newest and one.after == serving else one.after
        what = one.action if not newest or one.after == serving else f"{one.action}, not done"
        table.add_row(
            one.time.replace("T", " ").removesuffix(":00+00:00").removesuffix("+00:00"),
            escape(one.who),
            what,
            one.before or "-",
            after or "-",
            "yes" if one.forced else "",
            ", ".join(failed),
            escape(one.reason),
        )
    return table

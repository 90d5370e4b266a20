"""Readiness as a table on the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table

from training.readiness.needs import Need, Readiness


def readiness_table(readiness: Readiness) -> Table:
    """Lay out one line for each condition."""
    title = (
        f"{readiness.events:,} events, {readiness.first_day.isoformat()} to "
        f"{readiness.last_day.isoformat()}"
    )
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("for", max_width=24)
    table.add_column("needs")
    table.add_column("at least", justify="right")
    table.add_column("there", justify="right")
    table.add_column("")
    shown = ""
    for need in readiness.needs:
        name = need.model if need.model != shown else ""
        shown = need.model
        table.add_row(name, need.what, f"{need.needed:,}", f"{need.there:,}", verdict(need))
    return table


def verdict(need: Need) -> str:
    """Say whether it is enough, or when it will be; and what is done until then."""
    if need.enough:
        return "enough"
    if need.days_left is None:
        when = "not at the present rate"
    else:
        when = f"in about {need.days_left:,} day{'' if need.days_left == 1 else 's'}"
    return f"{when}; until then {need.instead}" if need.instead else when

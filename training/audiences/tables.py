"""Audiences and their sizes as tables for the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

from rich.table import Table

from micromoment.scoring.audiences import AudienceFile, AudienceRecord
from training.audiences.sizes import DaySize
from training.evaluation.segments import AUDIENCE
from training.segments.narrative import percent
from training.segments.portraits import Portrait

_DAYS_SHOWN: Final = 5  # as many as a narrow terminal has room for
_LIMIT: Final = re.compile(r"\blimits\.(\w+)")


def audiences_table(file: AudienceFile, portraits: Sequence[Portrait]) -> Table:
    """Show each audience: what it means, its limits as numbers, and its size at training."""
    table = Table(title="Audiences, the most specific first", title_justify="left")
    table.add_column("id", no_wrap=True)
    table.add_column("who")
    for heading in ("visits", "of all", "buy"):
        table.add_column(heading, justify="right", no_wrap=True)
    sizes = {one.id: one for one in portraits if one.kind == AUDIENCE}
    for one in file.audiences:
        size = sizes.get(one.id)
        figures = ["-", "-", "-"]
        if size is not None:
            buy = "-" if size.conversion is None else percent(size.conversion)
            figures = [f"{size.visits:,}", percent(size.share), buy]
        table.add_row(one.id, _who(one, file.limits), *figures)
    return table


def _who(one: AudienceRecord, limits: Mapping[str, float]) -> str:
    used = dict.fromkeys(_LIMIT.findall(one.rule))
    numbers = ", ".join(f"{name} is {limits[name]:.4g}" for name in used)
    return f"{one.meaning} ({numbers})" if numbers else one.meaning


def sizes_table(sizes: Sequence[DaySize]) -> Table:
    """Show the share of the visits by day, of the last days of them."""
    days = sorted({one.day for one in sizes})[-_DAYS_SHOWN:]
    table = Table(title="Share of the day's visits", title_justify="left")
    table.add_column("", no_wrap=True)
    for day in days:
        table.add_column(day.isoformat()[5:], justify="right", no_wrap=True)
    for _, of_kind in groupby(sizes, key=lambda one: one.kind):
        for name, group in groupby(of_kind, key=lambda one: one.id):
            shares = {one.day: percent(one.share) for one in group}
            table.add_row(name, *(shares[day] for day in days))
        table.add_section()
    total = {one.day: one.of_visits for one in sizes}
    table.add_row("all visits", *(f"{total[day]:,}" for day in days))
    return table

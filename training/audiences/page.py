"""Sizes over time as a page: a small plot for each cluster and audience."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Final

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from training.audiences.sizes import DaySize
from training.card.figures import MODEL_COLOUR, SMALL_HEIGHT, blank_figure, plot_html, wilson_bars
from training.card.parts import Part, many, section
from training.card.style import STYLE
from training.evaluation.segments import AUDIENCE, CLUSTER

JSON_FILE: Final = "sizes.json"
PAGE_FILE: Final = "sizes.html"
_ONE_COLUMN: Final = "main { max-width: 1400px; margin: 0 auto; padding: 24px 14px; }"
_HEADINGS: Final = {
    CLUSTER: (
        "Clusters",
        "Share of the day's visits that end in it, with 95 % intervals.",
    ),
    AUDIENCE: (
        "Audiences",
        "Share of the day's visits that were in it at any point, with 95 % intervals.",
    ),
}


def write_sizes(
    sizes: Sequence[DaySize], names: Mapping[str, str], folder: Path, title: str
) -> Path:
    """Write `sizes.json` and `sizes.html` into a folder that is there; gives the page's path.

    `names` are those of clusters and audiences by id. The same sizes give the same bytes.
    """
    text = json.dumps([one.to_dict() for one in sizes], indent=1, sort_keys=True)
    (folder / JSON_FILE).write_text(text + "\n", encoding="utf-8")
    page = folder / PAGE_FILE
    page.write_text(render_sizes(sizes, names, title), encoding="utf-8")
    return page


def render_sizes(sizes: Sequence[DaySize], names: Mapping[str, str], title: str) -> str:
    """Compose the page's HTML, which carries Plotly's code and needs no network."""
    parts = "".join(
        part.render() for kind in (CLUSTER, AUDIENCE) if (part := _part(kind, sizes, names))
    )
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<link rel='icon' href='data:,'>"
        f"<title>{escape(title)}</title><style>{STYLE}{_ONE_COLUMN}</style>"
        f"<script>{get_plotlyjs()}</script></head>"
        f"<body><main><h1>{escape(title)}</h1>{parts}</main></body></html>\n"
    )


def size_chart(days: Sequence[DaySize]) -> go.Figure:
    """Draw one cluster's or audience's share of the visits by day, with 95 % intervals."""
    figure = blank_figure(SMALL_HEIGHT)
    shares = [one.share for one in days]
    figure.add_scatter(
        x=[one.day.isoformat() for one in days],
        y=shares,
        error_y=wilson_bars(shares, [one.of_visits for one in days]),
        mode="lines+markers",
        line={"color": MODEL_COLOUR, "width": 2},
        marker={"color": MODEL_COLOUR, "size": 6},
        text=[f"{one.visits:,} of {one.of_visits:,} visits" for one in days],
        hovertemplate="%{x}<br>%{text}<extra></extra>",
    )
    figure.update_yaxes(rangemode="tozero", tickformat=".2~%")
    figure.update_xaxes(type="date", tickformat="%-d %b", nticks=5)
    return figure


def _part(kind: str, sizes: Sequence[DaySize], names: Mapping[str, str]) -> Part | None:
    own = [one for one in sizes if one.kind == kind]
    if not own:
        return None
    heading, text = _HEADINGS[kind]
    plots, empty = [], []
    for name, group in groupby(own, key=lambda one: one.id):
        days = list(group)
        called = escape(names.get(name, name))
        visits = sum(one.visits for one in days)
        if not visits:
            empty.append(called)
            continue
        html = plot_html(size_chart(days), f"{kind}-{name}", f"Share of visits: {called}")
        plots.append((f"{called}<br><span class='muted'>{visits:,} visits</span>", html))
    nobody = f"<p>Nobody was in: {', '.join(empty)}.</p>" if empty else ""
    return Part(kind, heading, section("", text, many(plots), nobody))

"""The plots' common style: colours that colour-blind people can tell apart, axes, error bars."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isfinite, sqrt
from typing import Any, Final

import plotly.graph_objects as go

from training.evaluation import EvaluationRow
from training.evaluation.bootstrap import Interval

# Okabe and Ito 2008.
MODEL_COLOUR: Final = "#0072b2"
BASELINE_COLOUR: Final = "#d55e00"
BASE_RATE_COLOUR: Final = "#6b7280"
GREEN: Final = "#009e73"
PURPLE: Final = "#cc79a7"
AMBER: Final = "#e69f00"
SKY: Final = "#56b4e9"
INK: Final = "#1f2937"
KINDS: Final = (MODEL_COLOUR, BASELINE_COLOUR, GREEN, PURPLE, AMBER, SKY, INK, "#8c6d31", "#7f7f7f")
HEIGHT: Final = 360
SMALL_HEIGHT: Final = 250
_GRID: Final = "#e5e7eb"
_Z95: Final = 1.96
_CONFIG: Final[dict[str, Any]] = {"displayModeBar": False, "responsive": True}


def blank_figure(height: int = HEIGHT) -> go.Figure:
    """Make an empty figure in the page's style."""
    axis = {
        "gridcolor": _GRID,
        "zeroline": False,
        "linecolor": "#9ca3af",
        "automargin": True,
        "title_standoff": 6,
    }
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 14, "t": 12, "b": 8},
        showlegend=False,
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "traceorder": "reversed",
        },
        xaxis=axis,
        yaxis=axis,
        hoverlabel={"namelength": -1},
        dragmode=False,
    )
    return figure


def plot_html(figure: go.Figure, name: str, describes: str = "") -> str:
    """Give a plot's HTML for a page that carries Plotly's code; `name` is its own on the page.

    `describes` is what a screen reader says.
    """
    html: str = figure.to_html(
        full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=f"plot-{name}"
    )
    label = escape(describes or name.replace("-", " "), quote=True)
    return f'<div role="img" aria-label="{label}">{html}</div>'


def legend(figure: go.Figure) -> None:
    """Show the legend above the plot, with room for it."""
    figure.update_layout(showlegend=True, margin={"t": 40})


def band(figure: go.Figure, low: float, high: float) -> None:
    """Shade where values are fine, with a line at 1."""
    figure.add_hrect(y0=low, y1=high, fillcolor=GREEN, opacity=0.1, line_width=0, layer="below")
    level(figure, 1.0)


def level(figure: go.Figure, at: float) -> None:
    """Draw a dotted level line."""
    figure.add_hline(y=at, line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1})


def by_count(
    figure: go.Figure,
    rows: Sequence[EvaluationRow],
    values: Sequence[float],
    bounds: Sequence[Interval] | None,
    name: str,
    colour: str,
    nudge: float = 0.0,
    *,
    dotted: bool = False,
) -> None:
    """Draw a quantity by events seen, with intervals; `nudge` moves it aside, so that bars part.

    The row of all points stands apart: it is another population, not one more number of events.
    """
    for apart in (False, True):
        places = [i for i, row in enumerate(rows) if (row.k is None) == apart]
        figure.add_scatter(
            x=[_place(rows, i) + nudge for i in places],
            y=[values[i] for i in places],
            error_y=None if bounds is None else _error_bars(values, bounds, places),
            name=name,
            legendgroup=name,
            showlegend=not apart,
            mode="markers" if apart else "lines+markers",
            line={"color": colour, "width": 2, "dash": "dot" if dotted else "solid"},
            marker={"color": colour, "size": 5 if dotted else 8},
            text=[_hover(rows[i], name, values[i], bounds[i] if bounds else None) for i in places],
            hovertemplate="%{text}<extra></extra>",
        )


def count_axis(figure: go.Figure, rows: Sequence[EvaluationRow]) -> None:
    """Label the axis of events seen, one place for each row."""
    figure.update_xaxes(
        title="events seen",
        tickvals=[_place(rows, i) for i in range(len(rows))],
        ticktext=[row.name for row in rows],
        showgrid=False,
    )


def wilson(share: float, n: float) -> tuple[float, float]:
    """Give 95 % bounds of a share of n that stay inside 0..1, also at 0 of n (Wilson 1927)."""
    if not n > 0:
        return 0.0, 1.0
    centre = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    half = _Z95 * sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n)) / (1 + _Z95**2 / n)
    return centre - half, centre + half


def wilson_bars(shares: Sequence[float], sizes: Sequence[float]) -> dict[str, Any]:
    """Give the error bars of shares."""
    bounds = [wilson(share, n) for share, n in zip(shares, sizes, strict=True)]
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(high - y, 0) for (_, high), y in zip(bounds, shares, strict=True)],
        "arrayminus": [max(y - low, 0) for (low, _), y in zip(bounds, shares, strict=True)],
        "thickness": 1.2,
        "width": 3,
    }


def _place(rows: Sequence[EvaluationRow], i: int) -> float:
    return i + 0.4 if rows[i].k is None else float(i)


def _hover(row: EvaluationRow, name: str, value: float, bounds: Interval | None) -> str:
    text = f"{name}: {value:.4g}"
    if bounds and isfinite(bounds.low):
        text += f" [{bounds.low:.4g}, {bounds.high:.4g}]"
    return f"{text}<br>{row.n:,} decision points, {row.buyers:,} before a purchase"


def _error_bars(
    values: Sequence[float], bounds: Sequence[Interval], places: Sequence[int]
) -> dict[str, Any] | None:
    if not all(isfinite(bounds[i].low) for i in places):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(bounds[i].high - values[i], 0) for i in places],
        "arrayminus": [max(values[i] - bounds[i].low, 0) for i in places],
        "thickness": 1.5,
        "width": 4,
    }

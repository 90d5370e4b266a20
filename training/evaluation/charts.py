"""The plots of an evaluation: ranking by events seen, reliability and lift for each count."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isfinite, log10, sqrt
from typing import Any, Final

import plotly.graph_objects as go

from training.evaluation.bootstrap import Interval
from training.evaluation.evaluate import GAIN_SHARES, Evaluation, EvaluationRow, Scores
from training.evaluation.reliability import ReliabilityBin

MODEL_COLOUR: Final = "#1b5fc1"
BASELINE_COLOUR: Final = "#d9730d"
BASE_RATE_COLOUR: Final = "#6b7280"
_GRID: Final = "#e5e7eb"
_Z95: Final = 1.96
_NUDGE: Final = 0.07  # sideways, so that two error bars at one place stay apart
HEIGHT: Final = 380
_SMALL_HEIGHT: Final = 300


def pr_auc_chart(evaluation: Evaluation) -> go.Figure:
    """PR-AUC by events seen on a log scale: model and baseline with intervals, base rate."""
    rows = [row for row in evaluation.rows if row.buyers]
    figure = blank_figure(HEIGHT)
    figure.update_layout(showlegend=True)
    base = [row.base_rate_metrics.pr_auc for row in rows]
    _by_count(figure, rows, base, None, "number of events alone", BASE_RATE_COLOUR, 0)
    baseline = [row.baseline.metrics.pr_auc for row in rows]
    bounds = [row.intervals.baseline_pr_auc for row in rows]
    _by_count(figure, rows, baseline, bounds, "logistic baseline", BASELINE_COLOUR, _NUDGE)
    model = [row.model.metrics.pr_auc for row in rows]
    bounds = [row.intervals.model_pr_auc for row in rows]
    _by_count(figure, rows, model, bounds, "model", MODEL_COLOUR, -_NUDGE)
    _count_axis(figure, rows)
    figure.update_yaxes(title="PR-AUC (log scale)", type="log", dtick="D2", tickformat=".2~g")
    return figure


def ratio_chart(evaluation: Evaluation) -> go.Figure:
    """PR-AUC of the model over that of the baseline, with the paired interval."""
    rows = [row for row in evaluation.rows if row.buyers]
    figure = blank_figure(HEIGHT)
    ratios = [row.model.metrics.pr_auc / row.baseline.metrics.pr_auc for row in rows]
    bounds = [row.intervals.pr_auc_ratio for row in rows]
    _by_count(figure, rows, ratios, bounds, "model over baseline", MODEL_COLOUR, 0)
    figure.add_hline(y=1, line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1})
    _count_axis(figure, rows)
    figure.update_yaxes(title="PR-AUC, model over baseline")
    return figure


def reliability_chart(row: EvaluationRow) -> go.Figure:
    """Share that bought against the probability predicted, both on log scales."""
    figure = blank_figure(_SMALL_HEIGHT)
    bins = (*row.model.reliability, *row.baseline.reliability)
    floor = _floor(bins)
    figure.add_scatter(
        x=[floor, 1],
        y=[floor, 1],
        mode="lines",
        line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1},
        hoverinfo="skip",
    )
    _reliability(figure, row.baseline, "baseline", BASELINE_COLOUR, floor)
    _reliability(figure, row.model, "model", MODEL_COLOUR, floor)
    limits = [log10(floor) - 0.05, 0.05]
    axis: dict[str, Any] = {"type": "log", "range": limits, "dtick": 1, "tickformat": "~%"}
    figure.update_xaxes(title="predicted", **axis)
    figure.update_yaxes(title="bought", **axis)
    return figure


def lift_chart(row: EvaluationRow) -> go.Figure:
    """How many times the average the share of buyers is, by share of visits chosen."""
    figure = blank_figure(_SMALL_HEIGHT)
    for scores, name, colour in (
        (row.baseline, "baseline", BASELINE_COLOUR),
        (row.model, "model", MODEL_COLOUR),
    ):
        shares = zip(scores.captured, GAIN_SHARES, strict=True)
        figure.add_scatter(
            x=list(GAIN_SHARES),
            y=[captured / share for captured, share in shares],
            customdata=list(scores.captured),
            name=name,
            mode="lines",
            line={"color": colour, "width": 2},
            hovertemplate="best %{x:.1~%}: lift %{y:.1f}, %{customdata:.0%} of the buyers",
        )
    figure.add_hline(y=1, line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1})
    ticks = [0.01, 0.03, 0.1, 0.3, 1.0]
    figure.update_xaxes(
        title="share of visits chosen", type="log", tickvals=ticks, tickformat=".0%"
    )
    figure.update_yaxes(title="lift", rangemode="tozero")
    return figure


def blank_figure(height: int) -> go.Figure:
    """Make an empty figure in the page's style."""
    axis = {"gridcolor": _GRID, "zeroline": False, "linecolor": "#9ca3af", "automargin": True}
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 12, "t": 34 if height == HEIGHT else 10, "b": 8},
        showlegend=False,
        font={"family": "system-ui, sans-serif", "size": 12, "color": "#1f2937"},
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "traceorder": "reversed",
        },
        xaxis=axis | {"title_standoff": 6},
        yaxis=axis | {"title_standoff": 6},
        hoverlabel={"namelength": -1},
        dragmode=False,
    )
    return figure


def _by_count(
    figure: go.Figure,
    rows: Sequence[EvaluationRow],
    values: list[float],
    bounds: list[Interval] | None,
    name: str,
    colour: str,
    nudge: float,
) -> None:
    # All points stand apart: they are another population, not one more number of events.
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
            line={"color": colour, "width": 2, "dash": "dot" if bounds is None else "solid"},
            marker={"color": colour, "size": 5 if bounds is None else 8},
            text=[_hover(rows[i], name, values[i], bounds[i] if bounds else None) for i in places],
            hovertemplate="%{text}<extra></extra>",
        )


def _place(rows: Sequence[EvaluationRow], i: int) -> float:
    return i + 0.4 if rows[i].k is None else float(i)


def _hover(row: EvaluationRow, name: str, value: float, bounds: Interval | None) -> str:
    text = f"{name}: {value:.3f}"
    if bounds and isfinite(bounds.low):
        text += f" [{bounds.low:.3f}, {bounds.high:.3f}]"
    return f"{text}<br>{row.n:,} decision points, {row.buyers:,} before a purchase"


def _error_bars(
    values: list[float], bounds: list[Interval], places: list[int]
) -> dict[str, Any] | None:
    if not all(isfinite(bounds[i].low) for i in places):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [bounds[i].high - values[i] for i in places],
        "arrayminus": [values[i] - bounds[i].low for i in places],
        "thickness": 1.5,
        "width": 4,
    }


def _count_axis(figure: go.Figure, rows: Sequence[EvaluationRow]) -> None:
    figure.update_xaxes(
        title="events seen",
        tickvals=[_place(rows, i) for i in range(len(rows))],
        ticktext=[row.name for row in rows],
        showgrid=False,
    )


def _reliability(figure: go.Figure, scores: Scores, name: str, colour: str, floor: float) -> None:
    bins = scores.reliability
    bounds = [_wilson(b.observed, b.weight) for b in bins]
    # A log scale has no zero: bins without buyers are drawn hollow, on the floor.
    drawn = [max(b.observed, floor) for b in bins]
    figure.add_scatter(
        x=[max(b.predicted, floor) for b in bins],
        y=drawn,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [max(high - y, 0) for (_, high), y in zip(bounds, drawn, strict=True)],
            "arrayminus": [
                max(y - max(low, floor), 0) for (low, _), y in zip(bounds, drawn, strict=True)
            ],
            "thickness": 1,
            "width": 0,
        },
        name=name,
        mode="markers",
        marker={
            "color": colour,
            "size": 7,
            "symbol": ["circle" if b.observed > 0 else "circle-open" for b in bins],
        },
        customdata=[[b.predicted, b.observed, b.weight] for b in bins],
        hovertemplate="predicted %{customdata[0]:.2%}, bought %{customdata[1]:.2%}"
        " of %{customdata[2]:,.0f}",
    )


def _floor(bins: Sequence[ReliabilityBin]) -> float:
    # A decade below which neither a mean prediction nor an observed share lies, at most 1 %.
    found = [v for b in bins for v in (b.predicted, b.observed) if v > 0]
    lowest = min([*found, 0.01])
    return max(10.0 ** floor(log10(lowest)), 1e-4)


def _wilson(share: float, n: float) -> tuple[float, float]:
    # Wilson 1927: bounds of a share that stay inside 0..1, also at 0 of n.
    centre = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    half = _Z95 * sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n)) / (1 + _Z95**2 / n)
    return centre - half, centre + half

"""Part: do the probabilities hold? Reliability, calibration error beside its floor, slope."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Any

import plotly.graph_objects as go

from training.card.card import Card
from training.card.figures import (
    BASE_RATE_COLOUR,
    BASELINE_COLOUR,
    MODEL_COLOUR,
    SMALL_HEIGHT,
    band,
    blank_figure,
    by_count,
    count_axis,
    legend,
    plot_html,
    wilson,
)
from training.card.findings import HIGH, LOW
from training.card.parts import Part, both, keys, many, row_heading, section, table, three
from training.evaluation import EvaluationRow
from training.evaluation.bootstrap import Interval
from training.evaluation.evaluate import Scores
from training.evaluation.reliability import ReliabilityBin
from training.evaluation.table import interval, number


def calibration_part(card: Card) -> Part | None:
    """Compose the part; None where no visit was judged or none bought."""
    rows = [row for row in card.visits.rows if row.buyers] if card.visits else []
    if not rows:
        return None
    return Part("calibration", "Do the probabilities hold?", _totals(rows) + _reliability(rows))


def _totals(rows: list[EvaluationRow]) -> str:
    return section(
        "On the whole",
        "Purchases predicted over purchases that came, and the slope of the outcome on the"
        " prediction's log-odds (Cox 1958): at 1 both are right, in the green band they are near."
        " A slope below 1 means that probabilities are too extreme. The expected calibration error"
        " (ECE, 15 groups of equal size) is never 0: the grey mark is what perfect probabilities"
        " would read on as many visits by chance, up to the end of its bar in 95 of 100 cases.",
        three(
            (
                "Predicted over observed",
                plot_html(totals_chart(rows), "predicted-over-observed"),
            ),
            ("Calibration slope", plot_html(slope_chart(rows), "calibration-slope")),
            ("Calibration error and its floor", plot_html(ece_chart(rows), "ece")),
        ),
        table(
            ("events seen", "ECE", "floor", "floor, 95 %", "predicted / observed", "95 %",
             "slope", "95 %"),
            (_cells(row) for row in rows),
        ),
        "<p class='muted'>In grey: the logistic baseline's.</p>",
    )  # fmt: skip


def _cells(row: EvaluationRow) -> list[str]:
    model, baseline, bounds = row.model.metrics, row.baseline.metrics, row.intervals
    return [
        row.name,
        both(number(model.ece, 4), number(baseline.ece, 4)),
        number(row.model.ece_floor.mean, 4),
        number(row.model.ece_floor.high, 4),
        both(number(model.predicted_over_observed, 2), number(baseline.predicted_over_observed, 2)),
        interval(bounds.predicted_over_observed, 2),
        both(number(model.calibration_slope, 2), number(baseline.calibration_slope, 2)),
        interval(bounds.calibration_slope, 2),
    ]


def totals_chart(rows: list[EvaluationRow]) -> go.Figure:
    """Predicted over observed purchases by events seen, with intervals."""
    figure = blank_figure()
    values = [row.model.metrics.predicted_over_observed for row in rows]
    bounds = [row.intervals.predicted_over_observed for row in rows]
    by_count(figure, rows, values, bounds, "predicted over observed", MODEL_COLOUR)
    band(figure, LOW, HIGH)
    count_axis(figure, rows)
    figure.update_yaxes(title="predicted / observed purchases")
    return figure


def slope_chart(rows: list[EvaluationRow]) -> go.Figure:
    """Calibration slope by events seen, with intervals."""
    figure = blank_figure()
    values = [row.model.metrics.calibration_slope for row in rows]
    bounds = [row.intervals.calibration_slope for row in rows]
    by_count(figure, rows, values, bounds, "slope", MODEL_COLOUR)
    band(figure, LOW, HIGH)
    count_axis(figure, rows)
    figure.update_yaxes(title="slope on log-odds")
    return figure


def ece_chart(rows: list[EvaluationRow]) -> go.Figure:
    """Calibration error beside that of perfect probabilities."""
    figure = blank_figure()
    legend(figure)
    chance = [row.model.ece_floor for row in rows]
    bounds = [Interval(one.mean, one.high) for one in chance]
    means = [one.mean for one in chance]
    by_count(figure, rows, means, bounds, "perfect, by chance", BASE_RATE_COLOUR, 0.05)
    values = [row.model.metrics.ece for row in rows]
    by_count(figure, rows, values, None, "model", MODEL_COLOUR, -0.05)
    count_axis(figure, rows)
    figure.update_yaxes(title="ECE (log scale)", type="log", dtick="D2", tickformat=".1~g")
    return figure


def _reliability(rows: list[EvaluationRow]) -> str:
    return section(
        "By predicted probability",
        "Visits in up to 15 groups of equal size; on the dotted diagonal, as many bought as"
        " predicted. Hollow points on the lower edge: none bought. Bars: 95 % intervals (Wilson).",
        keys(("model", MODEL_COLOUR), ("logistic baseline", BASELINE_COLOUR)),
        many(
            (row_heading(row), plot_html(reliability_chart(row), f"reliability-{row.name}"))
            for row in rows
        ),
    )


def reliability_chart(row: EvaluationRow) -> go.Figure:
    """Share that bought against the probability predicted, both on log scales."""
    figure = blank_figure(SMALL_HEIGHT)
    lowest = _floor((*row.model.reliability, *row.baseline.reliability))
    figure.add_scatter(
        x=[lowest, 1],
        y=[lowest, 1],
        mode="lines",
        line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1},
        hoverinfo="skip",
    )
    _bins(figure, row.baseline, "baseline", BASELINE_COLOUR, lowest)
    _bins(figure, row.model, "model", MODEL_COLOUR, lowest)
    limits = [log10(lowest) - 0.05, 0.05]
    axis: dict[str, Any] = {"type": "log", "range": limits, "dtick": 1, "tickformat": "~%"}
    figure.update_xaxes(title="predicted", **axis)
    figure.update_yaxes(title="share that bought", **axis)
    return figure


def _bins(figure: go.Figure, scores: Scores, name: str, colour: str, lowest: float) -> None:
    bins = scores.reliability
    bounds = [wilson(b.observed, b.weight) for b in bins]
    # A log scale has no zero: bins without buyers are drawn hollow, on the lower edge.
    drawn = [max(b.observed, lowest) for b in bins]
    figure.add_scatter(
        x=[max(b.predicted, lowest) for b in bins],
        y=drawn,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [max(high - y, 0) for (_, high), y in zip(bounds, drawn, strict=True)],
            "arrayminus": [
                max(y - max(low, lowest), 0) for (low, _), y in zip(bounds, drawn, strict=True)
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

"""Part: what is choosing by score worth? Gain, lift, precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from training.card.card import Card
from training.card.figures import (
    BASE_RATE_COLOUR,
    BASELINE_COLOUR,
    MODEL_COLOUR,
    SMALL_HEIGHT,
    blank_figure,
    legend,
    level,
    plot_html,
)
from training.card.parts import Part, after, keys, many, pair, row_heading, section, table
from training.evaluation import EvaluationRow
from training.evaluation.evaluate import GAIN_SHARES
from training.evaluation.table import number

_TICKS: Final = (0.001, 0.01, 0.1, 1.0)
_FEW: Final = 10
_SETTLED: Final = 0.05
_SHOWN: Final = (0.01, 0.05, 0.1, 0.25)


def choosing_part(card: Card) -> Part | None:
    """Compose the part; None where no visit was judged or none bought."""
    rows = [row for row in card.visits.rows if row.buyers] if card.visits else []
    if not rows:
        return None
    return Part("choosing", "What is choosing by score worth?", _gain(rows) + _precision(rows))


def _gain(rows: list[EvaluationRow]) -> str:
    headings = [
        heading
        for share in _SHOWN
        for heading in (f"buyers in best {100 * share:g}\u00a0%", f"lift at {100 * share:g}\u00a0%")
    ]
    return section(
        "Gain and lift",
        "First: of all buyers, the share that is among the visits with the highest scores. Second:"
        " how many times the average their share of buyers is; at 1 the choice is as good as a"
        " random one. One line for each number of events seen, the darker the fewer.",
        pair(
            ("Buyers found", plot_html(gain_chart(rows), "gain")),
            ("Lift", plot_html(lift_chart(rows), "lift")),
        ),
        table(("events seen", *headings), (_cells(row) for row in rows)),
    )


def _cells(row: EvaluationRow) -> list[str]:
    cells = [row.name]
    for share in _SHOWN:
        captured = row.model.captured[GAIN_SHARES.index(share)]
        cells += [f"{captured:.0%}", number(captured / share, 1)]
    return cells


def gain_chart(rows: Sequence[EvaluationRow]) -> go.Figure:
    """Share of buyers found by share of visits chosen, a line for each number of events seen."""
    figure = blank_figure()
    legend(figure)
    for row, colour in zip(rows, _colours(rows), strict=True):
        _line(figure, row, colour, list(row.model.captured), "%{y:.0%} of the buyers")
    figure.add_scatter(
        x=list(GAIN_SHARES),
        y=list(GAIN_SHARES),
        mode="lines",
        line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1},
        showlegend=False,
        hoverinfo="skip",
    )
    _share_axis(figure)
    figure.update_yaxes(title="share of buyers found", tickformat=".0%", range=[0, 1.02])
    figure.update_layout(legend={"traceorder": "normal"})
    return figure


def lift_chart(rows: Sequence[EvaluationRow]) -> go.Figure:
    """How many times the average the share of buyers is, by share of visits chosen."""
    figure = blank_figure()
    legend(figure)
    for row, colour in zip(rows, _colours(rows), strict=True):
        pairs = zip(row.model.captured, GAIN_SHARES, strict=True)
        _line(figure, row, colour, [found / share for found, share in pairs], "lift %{y:.1f}")
    level(figure, 1.0)
    _share_axis(figure)
    figure.update_yaxes(title="lift (log scale)", type="log", dtick="D2", tickformat="~g")
    figure.update_layout(legend={"traceorder": "normal"})
    return figure


def _line(
    figure: go.Figure, row: EvaluationRow, colour: str, values: list[float], hover: str
) -> None:
    # Of a handful of visits no share can be told.
    first = next((i for i, share in enumerate(GAIN_SHARES) if share * row.n >= _FEW), 0)
    figure.add_scatter(
        x=list(GAIN_SHARES[first:]),
        y=[value or None for value in values[first:]],
        name=row.name,
        mode="lines",
        line={"color": colour, "width": 2, "dash": "dash" if row.k is None else "solid"},
        hovertemplate=f"{after(row)}, best %{{x:.2~%}}: {hover}<extra></extra>",
    )


def _share_axis(figure: go.Figure) -> None:
    figure.update_xaxes(
        title="share of visits chosen (log scale)",
        type="log",
        tickvals=list(_TICKS),
        tickformat="~%",
    )


def _colours(rows: Sequence[EvaluationRow]) -> list[str]:
    counted = [row for row in rows if row.k is not None]
    places = [0.85 * i / max(len(counted) - 1, 1) for i in range(len(counted))]
    scale = sample_colorscale("Viridis", places) if places else []
    return [*scale, *(["#111827"] * (len(rows) - len(counted)))]


def _precision(rows: list[EvaluationRow]) -> str:
    return section(
        "Precision and recall",
        "Going from left to right, the threshold falls: more of the buyers are found, and a smaller"
        " share of those chosen buys. The dotted line is the base rate. Peaks at the very left, of"
        " a few visits, are cut off.",
        keys(("model", MODEL_COLOUR), ("logistic baseline", BASELINE_COLOUR)),
        many(
            (row_heading(row), plot_html(precision_chart(row), f"precision-recall-{row.name}"))
            for row in rows
        ),
    )


def _highest(row: EvaluationRow) -> float:
    # Of the first few visits chosen, one buyer makes a peak that would flatten all the rest.
    curves = (*row.model.curve, *row.baseline.curve)
    settled = [precision for recall, precision in curves if recall >= _SETTLED]
    return min(1.02, 1.3 * max([row.base_rate, *settled]))


def precision_chart(row: EvaluationRow) -> go.Figure:
    """Precision by recall: model, baseline, base rate."""
    figure = blank_figure(SMALL_HEIGHT)
    for scores, name, colour in (
        (row.baseline, "baseline", BASELINE_COLOUR),
        (row.model, "model", MODEL_COLOUR),
    ):
        figure.add_scatter(
            x=[0.0, *(recall for recall, _ in scores.curve)],
            y=[scores.curve[0][1], *(precision for _, precision in scores.curve)],
            name=name,
            mode="lines",
            # As average precision counts: up to a recall, the precision that goes with it.
            line={"color": colour, "width": 2, "shape": "vh"},
            hovertemplate="%{x:.0%} of the buyers, %{y:.1%} of the chosen buy",
        )
    level(figure, row.base_rate)
    figure.update_xaxes(title="recall", tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(title="precision", tickformat=".0%", range=[0, _highest(row)])
    return figure

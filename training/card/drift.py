"""Part: are the later days like those of training? Population stability by feature."""

from __future__ import annotations

from html import escape
from typing import Final

import plotly.graph_objects as go

from training.card.card import Card
from training.card.figures import (
    BASE_RATE_COLOUR,
    BASELINE_COLOUR,
    MODEL_COLOUR,
    SMALL_HEIGHT,
    blank_figure,
    legend,
    plot_html,
)
from training.card.parts import Part, keys, many, pair, section
from training.drift import Shift
from training.drift.psi import SHIFTED, WATCH

_TOP: Final = 20
_SHOWN: Final = 6


def drift_part(card: Card) -> Part | None:
    """Compose the part; None where the bundle has no histograms of its training."""
    if not card.shifts:
        return None
    moved = sum(one.psi > SHIFTED for one in card.shifts)
    watched = sum(WATCH < one.psi <= SHIFTED for one in card.shifts)
    score = card.score_shift
    plots = [("Features that moved most", plot_html(psi_chart(card.shifts[:_TOP]), "psi"))]
    if score is not None:
        plots.append((f"Score: PSI {score.psi:.3f}", plot_html(score_chart(score), "score-shift")))
    return Part(
        "drift",
        "Have the data moved since training?",
        section(
            "Population stability",
            "The index (PSI) compares shares by bin of the training data. Above"
            f" {SHIFTED}, by custom a shift: {moved} of {len(card.shifts)} features; between"
            f" {WATCH} and {SHIFTED}, to be watched: {watched}. What is counted by day (days since,"
            " popularity, visits so far of users) moves by itself as a shop's record grows. Learned"
            " encodings (<code>_llr</code>, page weights) are not compared: in training each"
            " visitor's are fitted without him, so that their values differ by design. The score is"
            " compared with that of the calibration days, which its model had not seen.",
            pair(*plots),
            "<p>The most moved ones, bin by bin:</p>",
            keys(("training", BASE_RATE_COLOUR), ("evaluated days", MODEL_COLOUR)),
            many(
                (
                    f"{escape(one.name)}<br><span class='muted'>PSI {one.psi:.2f}</span>",
                    plot_html(bins_chart(one, SMALL_HEIGHT), f"shift-{one.name}"),
                )
                for one in card.shifts[:_SHOWN]
            ),
        ),
    )


def psi_chart(shifts: tuple[Shift, ...]) -> go.Figure:
    """PSI by feature, the largest on top, with the customary bounds."""
    order = list(reversed(shifts))
    figure = blank_figure(80 + 20 * len(order))
    figure.add_bar(
        x=[one.psi for one in order],
        y=[one.name for one in order],
        orientation="h",
        marker={"color": [BASELINE_COLOUR if one.psi > SHIFTED else MODEL_COLOUR for one in order]},
        customdata=[list(one.missing) for one in order],
        hovertemplate="%{y}: %{x:.3f}<br>missing %{customdata[0]:.1%} before,"
        " %{customdata[1]:.1%} later<extra></extra>",
    )
    for at in (WATCH, SHIFTED):
        figure.add_vline(x=at, line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1})
    figure.update_xaxes(title=f"PSI (dotted: {WATCH} and {SHIFTED})", rangemode="tozero")
    figure.update_yaxes(showgrid=False, tickfont={"size": 11}, dtick=1)
    return figure


def score_chart(score: Shift) -> go.Figure:
    """The score's shares by bin."""
    figure = bins_chart(score, 360, percent=True)
    legend(figure)
    figure.update_layout(legend={"traceorder": "normal"})
    figure.update_xaxes(title="probability of an order")
    return figure


def bins_chart(one: Shift, height: int, *, percent: bool = False) -> go.Figure:
    """Shares by bin before and later, missing values last."""
    figure = blank_figure(height)
    labels = _labels(one, percent=percent)
    shown = [i for i in range(len(labels)) if one.before[i] or one.after[i]]
    for values, name, colour in (
        (one.before, "training", BASE_RATE_COLOUR),
        (one.after, "evaluated days", MODEL_COLOUR),
    ):
        figure.add_bar(
            x=[labels[i] for i in shown],
            y=[values[i] for i in shown],
            name=name,
            marker={"color": colour},
            hovertemplate=f"{name}, %{{x}}: %{{y:.1%}}<extra></extra>",
        )
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_xaxes(type="category", title="value", tickfont={"size": 10})
    figure.update_yaxes(title="share", tickformat=".0%")
    return figure


def _labels(one: Shift, *, percent: bool) -> list[str]:
    edges = [f"{edge:.2%}" if percent else f"{edge:.3g}" for edge in one.edges]
    return [*(f"≤ {edge}" for edge in edges), f"> {edges[-1]}" if edges else "any", "missing"]

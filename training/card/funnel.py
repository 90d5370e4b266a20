"""Part: how far visits go, and where they stop."""

from __future__ import annotations

from html import escape
from typing import Final

import plotly.graph_objects as go

from training.card.card import Card
from training.card.figures import (
    BASELINE_COLOUR,
    GREEN,
    MODEL_COLOUR,
    PURPLE,
    blank_figure,
    legend,
    plot_html,
    wilson_bars,
)
from training.card.parts import Part, pair, section, table
from training.population import FunnelCounts
from training.population.counts import STEPS

_NAMES: Final = tuple(name for name, _ in STEPS)
_LEAST_VISITS: Final = 200  # of a kind of device that gets a line of its own
_COLOURS: Final = (MODEL_COLOUR, BASELINE_COLOUR, GREEN, PURPLE)


def funnel_part(card: Card) -> Part | None:
    """Compose the part; None where visits were not counted or show nothing but orders."""
    counts = card.population.funnel if card.population else ()
    total = next((one for one in counts if one.device is None), None)
    # Where every visit has an order (tables of orders), there is no way to it.
    if total is None or not total.reached[0] or total.reached[-1] == total.reached[0]:
        return None
    devices = [one for one in counts if one.device and one.reached[0] >= _LEAST_VISITS]
    return Part(
        "funnel",
        "How far do visits go?",
        section(
            "From visit to order",
            "Visits of the evaluated days that reached a step, or a later one. Second: of those who"
            " reached the step before, the share that went on, by device; bars are 95 % intervals"
            " (Wilson).",
            pair(
                ("Visits that reached the step", plot_html(reach_chart(total), "funnel")),
                ("Went on from the step before", plot_html(onward_chart(devices or [total]),
                                                           "drop-off")),
            ),
            table(
                ("step", "visits", "of all", "of the step before", "stopped before it"),
                _rows(total),
            ),
        ),
    )  # fmt: skip


def _rows(total: FunnelCounts) -> list[list[str]]:
    rows = []
    for place, name in enumerate(_NAMES):
        here = total.reached[place]
        before = total.reached[place - 1] if place else here
        onward = here / before if before else 0.0
        rows.append(
            [
                name,
                f"{here:,}",
                f"{here / total.reached[0]:.2%}",
                f"{onward:.1%}" if place else "",
                f"{before - here:,}" if place else "",
            ]
        )
    return rows


def reach_chart(total: FunnelCounts) -> go.Figure:
    """Visits by the furthest step, as a funnel with shares of the step before."""
    figure = blank_figure(340)
    figure.add_funnel(
        y=list(_NAMES),
        x=list(total.reached),
        texttemplate="%{value:,}",
        textposition="auto",
        marker={"color": MODEL_COLOUR},
        connector={"fillcolor": "rgba(0, 114, 178, 0.12)"},
        hovertemplate="%{y}: %{value:,}<br>%{percentPrevious:.1%} of the step before,"
        " %{percentInitial:.2%} of all<extra></extra>",
    )
    figure.update_yaxes(showgrid=False)
    figure.update_xaxes(title="visits", visible=True, showticklabels=False, showgrid=False)
    return figure


def onward_chart(kinds: list[FunnelCounts]) -> go.Figure:
    """Share that goes on from the step before, by device."""
    figure = blank_figure(340)
    legend(figure)
    for place, kind in enumerate(kinds):
        before, here = kind.reached[:-1], kind.reached[1:]
        values = [n / max(of, 1) for n, of in zip(here, before, strict=True)]
        figure.add_scatter(
            x=[i + 0.12 * (place - (len(kinds) - 1) / 2) for i in range(len(values))],
            y=values,
            error_y=wilson_bars(values, before),
            name=escape(kind.device or "all"),
            mode="markers",
            marker={"color": _COLOURS[place % len(_COLOURS)], "size": 9},
            customdata=list(zip(here, before, strict=True)),
            hovertemplate="%{customdata[0]:,} of %{customdata[1]:,}: %{y:.1%}",
        )
    figure.update_xaxes(
        title="step", tickvals=list(range(len(_NAMES) - 1)), ticktext=list(_NAMES[1:]),
        showgrid=False,
    )  # fmt: skip
    figure.update_yaxes(title="share going on", tickformat=".0%", range=[0, 1.02])
    figure.update_layout(legend={"traceorder": "normal"})
    return figure

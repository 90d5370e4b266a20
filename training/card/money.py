"""Part: what the score is worth in money, for an action's cost that the reader chooses."""

from __future__ import annotations

import json
from html import escape
from math import floor, isfinite, log10
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from training.card.card import Card
from training.card.figures import (
    BASE_RATE_COLOUR,
    BASELINE_COLOUR,
    GREEN,
    HEIGHT,
    MODEL_COLOUR,
    blank_figure,
    legend,
    level,
    plot_html,
)
from training.card.parts import Part, after, section
from training.evaluation import EvaluationRow
from training.evaluation.evaluate import GAIN_SHARES

_SCRIPT: Final = Path(__file__).with_name("money.js")
_UPLIFT_PERCENT: Final = 10.0
_COST_SHARE: Final = 0.002  # of an order's value: where the action begins to pay at 2 %
_ORDER_VALUE: Final = 50.0  # where orders have no value
_K: Final = 5

FloatArray = npt.NDArray[np.float64]


def net_gain(
    captured: FloatArray, base_rate: float, *, cost: float, value: float, uplift: float
) -> FloatArray:
    """Give the net gain per 1,000 visits of acting on each of `GAIN_SHARES` of them.

    `captured` is the share of buyers among those acted on. An action costs `cost` and raises the
    number of orders among them by the share `uplift`, each worth `value`.
    """
    shares = np.array(GAIN_SHARES)
    gain: FloatArray = 1000 * (uplift * value * captured * base_rate - cost * shares)
    return gain


def money_part(card: Card) -> Part | None:
    """Compose the part; None where no visit was judged or none bought."""
    rows = [row for row in card.visits.rows if row.buyers] if card.visits else []
    if not rows:
        return None
    known = card.population.order_value if card.population else None
    value = round(known, 2) if known else _ORDER_VALUE
    cost = _two_digits(_COST_SHARE * value)
    start = next((i for i, row in enumerate(rows) if row.k == _K), 0)
    source = (
        f"the mean of {card.population.orders:,} orders in these days"
        if known and card.population
        else "a made-up value: orders have none in these data"
    )
    text = (
        "An action (a voucher, a chat offer, a call) is taken on the visits with the highest scores"
        " after a given number of events. What is left is the orders that it adds, times their"
        " value, less its cost. <b>Assumptions.</b> Each action costs the same. It raises the"
        " number of orders among the visits that it reaches by the same share, the uplift; the data"
        " behind this page cannot tell that share, as nobody was treated at random: measure"
        " it by an experiment with a holdout before believing an amount. The value of an order"
        f" starts as {source}; put in your margin. Chance is not shown: with few buyers, the best"
        " threshold is uncertain."
    )
    return Part(
        "money",
        "What is it worth in money?",
        section(
            "",
            text,
            _inputs(rows, start, cost, value, card.currency),
            "<p id='money-result' aria-live='polite'></p>",
            plot_html(_chart(rows[start], cost, value, card.currency), "money"),
            _data(rows, card.currency),
            f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script>",
        ),
    )


def _two_digits(value: float) -> float:
    return round(value, 1 - floor(log10(value))) if value > 0 else 0.0


def _inputs(rows: list[EvaluationRow], start: int, cost: float, value: float, currency: str) -> str:
    unit = escape(currency)
    options = "".join(
        f"<option value='{i}'{' selected' if i == start else ''}>{after(row)}</option>"
        for i, row in enumerate(rows)
        if row.k is not None
    )
    return (
        "<div class='inputs'>"
        f"<label>Act<select id='money-row'>{options}</select></label>"
        + _input("cost", f"Cost of an action ({unit})", cost, "any")
        + _input("value", f"Value of an order ({unit})", value, "any")
        + _input("uplift", "Assumed uplift of orders (%)", _UPLIFT_PERCENT, "any")
        + "</div>"
    )


def _input(name: str, label: str, value: float, step: str) -> str:
    return (
        f"<label>{label}<input id='money-{name}' type='number' inputmode='decimal' min='0'"
        f" step='{step}' value='{value:g}'></label>"
    )


def _data(rows: list[EvaluationRow], currency: str) -> str:
    values: dict[str, Any] = {
        "currency": currency,
        "shares": list(GAIN_SHARES),
        "rows": [
            {
                "base_rate": row.base_rate,
                "model": _rounded(row.model.captured),
                "baseline": _rounded(row.baseline.captured),
                "thresholds": _rounded(row.model.thresholds),
            }
            for row in rows
        ],
    }
    # Inside a script element only "</" would end the text.
    text = json.dumps(values).replace("</", "<\\/")
    return f"<script type='application/json' id='money-data'>{text}</script>"


def _rounded(values: tuple[float, ...]) -> list[float | None]:
    return [round(one, 8) if isfinite(one) else None for one in values]


def _chart(row: EvaluationRow, cost: float, value: float, currency: str) -> go.Figure:
    """Net gain by share of visits acted on, as the script redraws it for other inputs."""
    figure = blank_figure(HEIGHT)
    legend(figure)
    for captured, name, colour, dash in (
        (GAIN_SHARES, "random choice", BASE_RATE_COLOUR, "dot"),
        (row.baseline.captured, "logistic", BASELINE_COLOUR, "solid"),
        (row.model.captured, "model", MODEL_COLOUR, "solid"),
    ):
        gain = net_gain(
            np.array(captured), row.base_rate, cost=cost, value=value, uplift=_UPLIFT_PERCENT / 100
        )
        figure.add_scatter(
            x=list(GAIN_SHARES),
            y=gain.tolist(),
            name=name,
            mode="lines",
            line={"color": colour, "width": 2, "dash": dash},
            hovertemplate=f"{name}, best %{{x:.2~%}}: %{{y:,.2f}}<br>%{{text}}<extra></extra>",
        )
    figure.add_scatter(
        x=[GAIN_SHARES[0]],
        y=[None],
        name="best",
        mode="markers",
        marker={"color": GREEN, "size": 12, "symbol": "diamond"},
        hovertemplate="best: %{y:,.2f}<extra></extra>",
    )
    level(figure, 0.0)
    figure.update_xaxes(
        title="share of visits acted on (log scale)",
        type="log",
        tickvals=[0.001, 0.01, 0.1, 1],
        tickformat="~%",
    )
    figure.update_yaxes(title=f"net gain, {currency} per 1,000 visits")
    return figure

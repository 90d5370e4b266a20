"""The plots of an evaluation of churn: by cut, reliability, what comes, time to the next order."""

from __future__ import annotations

from typing import Final

import plotly.graph_objects as go

from training.card.figures import (
    BASE_RATE_COLOUR,
    BASELINE_COLOUR,
    GREEN,
    HEIGHT,
    MODEL_COLOUR,
    blank_figure,
)
from training.churn.coming import ComingFigures
from training.churn.judging import MODEL, ChurnEvaluation
from training.churn.table import NAMES

COLOURS: Final = {
    MODEL: MODEL_COLOUR,
    "recency": BASE_RATE_COLOUR,
    "logistic": BASELINE_COLOUR,
    "bg_nbd": GREEN,
}
_BAND: Final = "rgba(0, 114, 178, 0.15)"


def cuts_chart(evaluation: ChurnEvaluation) -> go.Figure:
    """ROC-AUC at each cut: model and baselines."""
    figure = blank_figure(HEIGHT)
    figure.update_layout(showlegend=True)
    for score in reversed(evaluation.scores):
        figure.add_scatter(
            x=[cut.cut for cut in evaluation.cuts],
            y=[cut.metrics[score.name].roc_auc for cut in evaluation.cuts],
            name=NAMES[score.name],
            mode="lines+markers",
            line={"color": COLOURS[score.name], "width": 2},
            hovertemplate="%{x}: %{y:.3f}",
        )
    figure.update_xaxes(title="cut", type="date" if len(evaluation.cuts) > 1 else "category")
    figure.update_yaxes(title="ROC-AUC")
    return figure


def churn_reliability_chart(evaluation: ChurnEvaluation) -> go.Figure:
    """Share that churned against the probability predicted, all cuts together."""
    figure = blank_figure(HEIGHT)
    figure.update_layout(showlegend=True)
    bins = [one for score in evaluation.scores for one in score.reliability]
    low = min([1.0, *(min(one.predicted, one.observed) for one in bins)])
    figure.add_scatter(
        x=[low, 1],
        y=[low, 1],
        mode="lines",
        line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )
    for score in reversed(evaluation.scores):
        figure.add_scatter(
            x=[one.predicted for one in score.reliability],
            y=[one.observed for one in score.reliability],
            customdata=[one.weight for one in score.reliability],
            name=NAMES[score.name],
            mode="lines+markers",
            line={"color": COLOURS[score.name], "width": 1},
            marker={"size": 7},
            hovertemplate="predicted %{x:.1%}, churned %{y:.1%} of %{customdata:,.0f}",
        )
    figure.update_xaxes(title="predicted", tickformat=".0%")
    figure.update_yaxes(title="churned", tickformat=".0%")
    return figure


def churn_level_chart(evaluation: ChurnEvaluation) -> go.Figure:
    """Share that churned at each cut, and what model and baselines predicted on average."""
    figure = blank_figure(HEIGHT)
    figure.update_layout(showlegend=True)
    days = [cut.cut for cut in evaluation.cuts]
    shares = [cut.churned / cut.n if cut.n else None for cut in evaluation.cuts]
    for score in reversed(evaluation.scores):
        figure.add_scatter(
            x=days,
            y=[
                None if share is None else share * cut.metrics[score.name].predicted_over_observed
                for cut, share in zip(evaluation.cuts, shares, strict=True)
            ],
            name=NAMES[score.name],
            mode="lines",
            line={"color": COLOURS[score.name], "width": 2},
            hovertemplate="%{x}: %{y:.1%} predicted",
        )
    figure.add_scatter(
        x=days,
        y=shares,
        name="churned",
        mode="markers",
        marker={"color": "#111827", "size": 8},
        hovertemplate="%{x}: %{y:.1%} churned",
    )
    figure.update_xaxes(title="cut", type="date" if len(days) > 1 else "category")
    figure.update_yaxes(title="share", tickformat=".0%")
    return figure


def coming_chart(one: ComingFigures) -> go.Figure:
    """What came against what was expected, by tenths of the customers."""
    figure = blank_figure(HEIGHT)
    most = max([0.0, *(max(tenth.expected, tenth.observed) for tenth in one.tenths)])
    figure.add_scatter(
        x=[0, most],
        y=[0, most],
        mode="lines",
        line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1},
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=[tenth.expected for tenth in one.tenths],
        y=[tenth.observed for tenth in one.tenths],
        customdata=[tenth.n for tenth in one.tenths],
        mode="lines+markers",
        line={"color": MODEL_COLOUR, "width": 1},
        marker={"size": 7},
        hovertemplate="expected %{x:,.2f}, observed %{y:,.2f} of %{customdata:,.0f}<extra></extra>",
    )
    figure.update_xaxes(title="expected")
    figure.update_yaxes(title="observed")
    return figure


def survival_chart(curve: dict[str, list[float]], horizon_days: int) -> go.Figure:
    """Share of order days without a next one by days since, with the horizon marked."""
    figure = blank_figure(HEIGHT)
    for bound, fill in (("low", None), ("high", "tonexty")):
        figure.add_scatter(
            x=curve["days"],
            y=curve[bound],
            mode="lines",
            line={"width": 0},
            fill=fill,
            fillcolor=_BAND,
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=curve["days"],
        y=curve["share"],
        mode="lines",
        line={"color": MODEL_COLOUR, "width": 2, "shape": "hv"},
        hovertemplate="%{y:.1%} without a next order after %{x} days<extra></extra>",
    )
    figure.add_vline(
        x=horizon_days,
        line={"color": BASE_RATE_COLOUR, "dash": "dot", "width": 1},
        annotation_text=f"horizon: {horizon_days} days",
        annotation_position="top right",
    )
    figure.update_xaxes(title="days since an order")
    figure.update_yaxes(title="no order yet", tickformat=".0%", range=[0, 1.02])
    return figure

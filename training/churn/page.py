"""Sections of the evaluation's page that show churn."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from training.card.figures import plot_html
from training.churn.charts import (
    churn_level_chart,
    churn_reliability_chart,
    coming_chart,
    cuts_chart,
    survival_chart,
)
from training.churn.coming import ComingFigures
from training.churn.judging import ChurnEvaluation, ScoreFigures
from training.churn.table import NAMES, coming_cells, group_cells, question
from training.evaluation.table import interval, number


def churn_sections(evaluation: ChurnEvaluation) -> list[str]:
    """Compose the sections' HTML."""
    sections = [_head(evaluation), _plots(evaluation), _figures(evaluation)]
    if evaluation.groups:
        sections.append(_groups(evaluation))
    if evaluation.coming:
        sections.append(_coming(evaluation))
    return sections


def _head(evaluation: ChurnEvaluation) -> str:
    whom = (
        "customers with an order before the cut"
        if evaluation.target == "purchase"
        else "visitors of the 7 days before the cut"
    )
    share = evaluation.churned / evaluation.n if evaluation.n else 0.0
    return (
        f"<h1>Churn: {escape(question(evaluation))}</h1><p>{evaluation.n:,} times one of "
        f"{evaluation.customers:,} {whom} was looked at, at {len(evaluation.cuts)} cuts;"
        f" {share:.1%} churned. A cut is a midnight; nothing from after it is known to a score.</p>"
    )


def _plots(evaluation: ChurnEvaluation) -> str:
    charts = [
        ("Does it find who leaves?", cuts_chart(evaluation), "churn-cuts"),
        ("Do the probabilities hold?", churn_reliability_chart(evaluation), "churn-reliability"),
        ("Do they follow the year?", churn_level_chart(evaluation), "churn-level"),
    ]
    if evaluation.time_to_next_order is not None:
        curve = survival_chart(evaluation.time_to_next_order, evaluation.horizon_days)
        charts.append(("How long does the next order take?", curve, "churn-survival"))
    plots = "".join(
        f"<div><h3>{heading}</h3>{plot_html(chart, name)}</div>" for heading, chart, name in charts
    )
    curve_text = (
        " The curve of times to the next order is Kaplan and Meier's, over all order days of the"
        " training data: customers who never came back count until the data end."
        if evaluation.time_to_next_order is not None
        else ""
    )
    return (
        "<section><h2>Model and baselines</h2><p>ROC-AUC is the probability that of two customers"
        " the one who leaves has the higher score. In the second plot customers stand in 15 groups"
        " of equal size by predicted probability. The third has the share that churned at each"
        f" cut and the means of the probabilities.{curve_text}</p>"
        f"<div class='pair'>{plots}</div></section>"
    )


def _figures(evaluation: ChurnEvaluation) -> str:
    headings = (
        "score", "ROC-AUC", "95 %", "mean of cuts", "PR-AUC", "log loss", "ECE",
        "predicted / observed", "slope", "model's ROC-AUC minus this one's, 95 %",
    )  # fmt: skip
    return (
        "<section><h2>Figures of churn</h2><p>Intervals: draws of customers, the same for all"
        f" scores.</p>{_table(headings, [_cells(score) for score in evaluation.scores])}</section>"
    )


def _groups(evaluation: ChurnEvaluation) -> str:
    headings = (
        "customers", "n", "churned", "score", "ROC-AUC", "ECE", "predicted / observed",
    )  # fmt: skip
    rows = [
        [
            group.name,
            f"{group.n:,}",
            f"{group.churned / group.n:.1%}",
            NAMES[score.name],
            *group_cells(group.metrics[score.name]),
        ]
        for group in evaluation.groups
        for score in evaluation.scores
    ]
    return (
        "<section><h2>One-time buyers</h2><p>Most customers of most shops order on one day alone."
        " They are judged apart from those who ordered again, all cuts together.</p>"
        f"{_table(headings, rows)}</section>"
    )


def _coming(evaluation: ChurnEvaluation) -> str:
    headings = (
        "what", "expected", "observed", "expected / observed", "the same of the top tenth",
        "mean absolute error", "that of the naive forecast",
    )  # fmt: skip
    rows = [[one.name, *coming_cells(one)] for one in evaluation.coming]
    plots = "".join(
        f"<div><h3>{_heading(one)}</h3>{plot_html(coming_chart(one), f'churn-{one.name}')}</div>"
        for one in evaluation.coming
    )
    return (
        f"<section><h2>What comes within {evaluation.horizon_days} days</h2><p>Per customer and"
        " cut; values are in the shop's currency. In the plots customers stand in tenths by what"
        " was expected of them. The naive forecast carries each customer's last year on.</p>"
        f"{_table(headings, rows)}<div class='pair'>{plots}</div></section>"
    )


def _heading(one: ComingFigures) -> str:
    return f"Do the expected {'orders' if one.name == 'orders' else 'values'} come?"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}"
        "</tbody></table></div>"
    )


def _cells(score: ScoreFigures) -> list[str]:
    pooled = score.pooled
    is_model = score.roc_auc_difference.low == score.roc_auc_difference.high == 0
    return [
        NAMES[score.name],
        number(pooled.roc_auc),
        interval(score.roc_auc),
        number(score.roc_auc_by_cut),
        number(pooled.pr_auc),
        number(pooled.log_loss, 4),
        number(pooled.ece),
        number(pooled.predicted_over_observed, 2),
        number(pooled.calibration_slope, 2),
        "" if is_model else interval(score.roc_auc_difference),
    ]

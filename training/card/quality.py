"""Part: does it find the buyers? Metrics by events seen, with intervals, beside both baselines."""

from __future__ import annotations

from typing import Final

import plotly.graph_objects as go

from training.card.card import Card
from training.card.figures import (
    BASE_RATE_COLOUR,
    BASELINE_COLOUR,
    MODEL_COLOUR,
    blank_figure,
    by_count,
    count_axis,
    legend,
    level,
    plot_html,
)
from training.card.parts import Part, both, pair, section, table
from training.evaluation import Evaluation, EvaluationRow
from training.evaluation.table import interval, number

_NUDGE: Final = 0.07


def quality_part(card: Card) -> Part | None:
    """Compose the part; None without an evaluation of visits."""
    if card.visits is None:
        return None
    rows = [row for row in card.visits.rows if row.buyers]
    bodies = [_figures(card.visits)]
    if rows:
        bodies.insert(0, _plots(card.visits, rows))
    else:
        bodies.insert(0, section("", "No visit bought: there is nothing to draw."))
    return Part("quality", "Does it find the buyers?", "".join(bodies))


def _plots(evaluation: Evaluation, rows: list[EvaluationRow]) -> str:
    bars = (
        f" Bars: 95 % intervals over {evaluation.bootstrap} draws of visitors with all their"
        " visits."
        if evaluation.bootstrap
        else ""
    )
    return section(
        "By number of events seen",
        "PR-AUC is the mean share of buyers among the highest-scored visits: the higher, the fewer"
        " visits an action wastes. Two opponents: a <b>logistic</b> regression on eleven counts of"
        " the visit, and a score that knows the <b>number of events alone</b>. In the second plot,"
        " what lies above 1 is the model's gain; where a bar crosses 1, these data don't prove one."
        f" <b>all</b> counts every decision point equally, so long visits weigh more.{bars}",
        pair(
            ("PR-AUC", plot_html(pr_auc_chart(rows), "pr-auc", "PR-AUC by events seen")),
            ("PR-AUC over the opponents'", plot_html(ratio_chart(rows), "pr-auc-ratio")),
        ),
        pair(
            ("ROC-AUC", plot_html(roc_auc_chart(rows), "roc-auc", "ROC-AUC by events seen")),
            ("Log loss over the base rate's", plot_html(log_loss_chart(rows), "log-loss")),
        ),
    )


def pr_auc_chart(rows: list[EvaluationRow]) -> go.Figure:
    """PR-AUC by events seen on a log scale: model and baseline with intervals, base rate."""
    figure = blank_figure()
    legend(figure)
    base = [row.base_rate_metrics.pr_auc for row in rows]
    by_count(figure, rows, base, None, "events alone", BASE_RATE_COLOUR, dotted=True)
    values = [row.baseline.metrics.pr_auc for row in rows]
    bounds = [row.intervals.baseline_pr_auc for row in rows]
    by_count(figure, rows, values, bounds, "logistic", BASELINE_COLOUR, _NUDGE)
    values = [row.model.metrics.pr_auc for row in rows]
    bounds = [row.intervals.model_pr_auc for row in rows]
    by_count(figure, rows, values, bounds, "model", MODEL_COLOUR, -_NUDGE)
    count_axis(figure, rows)
    figure.update_yaxes(title="PR-AUC (log scale)", type="log", dtick="D2", tickformat=".2~g")
    return figure


def ratio_chart(rows: list[EvaluationRow]) -> go.Figure:
    """PR-AUC of the model over that of either baseline, with the paired intervals."""
    figure = blank_figure()
    legend(figure)
    alone = [row.model.metrics.pr_auc / row.base_rate_metrics.pr_auc for row in rows]
    bounds = [row.intervals.pr_auc_over_alone for row in rows]
    by_count(figure, rows, alone, bounds, "over events alone", BASE_RATE_COLOUR, _NUDGE)
    ratios = [row.model.metrics.pr_auc / row.baseline.metrics.pr_auc for row in rows]
    bounds = [row.intervals.pr_auc_ratio for row in rows]
    by_count(figure, rows, ratios, bounds, "over logistic", MODEL_COLOUR, -_NUDGE)
    level(figure, 1.0)
    count_axis(figure, rows)
    figure.update_yaxes(
        title="ratio of PR-AUC (log scale)", type="log", dtick="D2", tickformat=".2~g"
    )
    return figure


def roc_auc_chart(rows: list[EvaluationRow]) -> go.Figure:
    """ROC-AUC by events seen: model and baseline with intervals."""
    figure = blank_figure()
    legend(figure)
    values = [row.baseline.metrics.roc_auc for row in rows]
    bounds = [row.intervals.baseline_roc_auc for row in rows]
    by_count(figure, rows, values, bounds, "logistic", BASELINE_COLOUR, _NUDGE)
    values = [row.model.metrics.roc_auc for row in rows]
    bounds = [row.intervals.model_roc_auc for row in rows]
    by_count(figure, rows, values, bounds, "model", MODEL_COLOUR, -_NUDGE)
    level(figure, 0.5)
    count_axis(figure, rows)
    figure.update_yaxes(title="ROC-AUC (0.5 is chance)")
    return figure


def log_loss_chart(rows: list[EvaluationRow]) -> go.Figure:
    """Log loss over that of the base rate by events seen: below 1 the probabilities say more."""
    figure = blank_figure()
    legend(figure)
    alone = [row.base_rate_metrics.log_loss for row in rows]
    theirs = [row.baseline.metrics.log_loss / base for row, base in zip(rows, alone, strict=True)]
    by_count(figure, rows, theirs, None, "logistic", BASELINE_COLOUR, dotted=True)
    ours = [row.model.metrics.log_loss / base for row, base in zip(rows, alone, strict=True)]
    bounds = [row.intervals.log_loss_over_alone for row in rows]
    by_count(figure, rows, ours, bounds, "model", MODEL_COLOUR, -_NUDGE)
    level(figure, 1.0)
    count_axis(figure, rows)
    figure.update_yaxes(title="log loss, ratio (lower is better)")
    return figure


def _figures(evaluation: Evaluation) -> str:
    headings = (
        "events seen", "decision points", "buyers", "base rate", "PR-AUC", "95 %",
        "events alone", "model / logistic, 95 %", "ROC-AUC", "95 %", "log loss", "95 %",
        "base rate's",
    )  # fmt: skip
    return section(
        "Figures",
        "Below each of the model's figures, in grey, the logistic baseline's. Intervals are of"
        " visitors, the same draws for all scores.",
        table(headings, (_cells(row) for row in evaluation.rows)),
    )


def _cells(row: EvaluationRow) -> list[str]:
    model, baseline, bounds = row.model.metrics, row.baseline.metrics, row.intervals
    ratio = model.pr_auc / baseline.pr_auc if baseline.pr_auc else float("nan")
    return [
        row.name,
        f"{row.n:,}",
        f"{row.buyers:,}",
        number(row.base_rate, 4),
        both(number(model.pr_auc), number(baseline.pr_auc)),
        both(interval(bounds.model_pr_auc), interval(bounds.baseline_pr_auc)),
        number(row.base_rate_metrics.pr_auc),
        f"{number(ratio, 2)} {interval(bounds.pr_auc_ratio, 2)}",
        both(number(model.roc_auc), number(baseline.roc_auc)),
        both(interval(bounds.model_roc_auc), interval(bounds.baseline_roc_auc)),
        both(number(model.log_loss, 4), number(baseline.log_loss, 4)),
        both(interval(bounds.model_log_loss), interval(bounds.baseline_log_loss)),
        number(row.base_rate_metrics.log_loss, 4),
    ]

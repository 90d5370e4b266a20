"""An evaluation of churn in the terminal: all cuts together, then cut by cut."""

from __future__ import annotations

from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from training.churn.coming import ComingFigures
from training.churn.judging import MODEL, ChurnEvaluation, ScoreFigures
from training.evaluation.metrics import MetricSet
from training.evaluation.table import interval, number

NAMES: Final = {
    MODEL: "model",
    "recency": "recency",
    "logistic": "logistic",
    "bg_nbd": "BG/NBD",
}


def churn_table(evaluation: ChurnEvaluation) -> Group:
    """Compose the tables, for 80 columns or more."""
    tables = [_pooled(evaluation), _gain(evaluation), _by_cut(evaluation)]
    if evaluation.groups:
        tables.append(_groups(evaluation))
    if evaluation.coming:
        tables.append(_coming(evaluation))
    return Group(*tables)


def question(evaluation: ChurnEvaluation) -> str:
    """Say what is predicted."""
    what = "no order" if evaluation.target == "purchase" else "no visit"
    return f"{what} within {evaluation.horizon_days} days"


def _pooled(evaluation: ChurnEvaluation) -> Table:
    table = _table(f"Churn: {question(evaluation)}")
    headings = ("ROC-AUC", "by cut", "PR-AUC", "log loss", "ECE", "pred. / obs.", "slope")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for score in evaluation.scores:
        pooled = score.pooled
        table.add_row(
            NAMES[score.name],
            number(pooled.roc_auc),
            number(score.roc_auc_by_cut),
            number(pooled.pr_auc),
            number(pooled.log_loss, 4),
            number(pooled.ece),
            number(pooled.predicted_over_observed, 2),
            number(pooled.calibration_slope, 2),
        )
    share = evaluation.churned / evaluation.n if evaluation.n else 0.0
    table.caption = (
        f"{evaluation.n:,} rows of {evaluation.customers:,} customers at {len(evaluation.cuts)} "
        f"cuts, {share:.1%} churned; by cut: mean of the cuts' own ROC-AUC"
    )
    return table


def _gain(evaluation: ChurnEvaluation) -> Table:
    table = _table("Model minus baseline")
    for heading in ("ROC-AUC", "ROC-AUC by cut", "log loss"):
        table.add_column(heading, justify="right", overflow="fold")
    for score in evaluation.scores[1:]:
        table.add_row(NAMES[score.name], *_gain_cells(evaluation.scores[0], score))
    if evaluation.bootstrap:
        table.caption = f"95 % intervals by customer, {evaluation.bootstrap} draws, paired"
    return table


def _gain_cells(model: ScoreFigures, score: ScoreFigures) -> list[str]:
    ours, theirs = model.pooled, score.pooled
    return [
        f"{difference:+.3f} {interval(bounds)}".rstrip()
        for difference, bounds in (
            (ours.roc_auc - theirs.roc_auc, score.roc_auc_difference),
            (model.roc_auc_by_cut - score.roc_auc_by_cut, score.roc_auc_by_cut_difference),
            (ours.log_loss - theirs.log_loss, score.log_loss_difference),
        )
    ]


def _by_cut(evaluation: ChurnEvaluation) -> Table:
    table = _table("ROC-AUC by cut", "cut")
    for heading in ("n", "churned", *(NAMES[score.name] for score in evaluation.scores), "ECE"):
        table.add_column(heading, justify="right", no_wrap=True)
    for cut in evaluation.cuts:
        scores = [number(cut.metrics[score.name].roc_auc) for score in evaluation.scores]
        share = f"{cut.churned / cut.n:.3f}" if cut.n else "-"
        table.add_row(cut.cut, f"{cut.n:,}", share, *scores, number(cut.metrics[MODEL].ece))
    return table


def _groups(evaluation: ChurnEvaluation) -> Table:
    table = _table("By whether the customer ordered on more than one day", "customers")
    for heading in ("n", "churned", "score", "ROC-AUC", "ECE", "pred. / obs."):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in evaluation.groups:
        head = [group.name, f"{group.n:,}", f"{group.churned / group.n:.3f}"]
        for score in evaluation.scores:
            table.add_row(*head, NAMES[score.name], *group_cells(group.metrics[score.name]))
            head = ["", "", ""]
    return table


def group_cells(metrics: MetricSet) -> list[str]:
    """Write a score's figures among a group of customers."""
    return [
        number(metrics.roc_auc),
        number(metrics.ece),
        number(metrics.predicted_over_observed, 2),
    ]


def _coming(evaluation: ChurnEvaluation) -> Table:
    table = _table(f"What comes within {evaluation.horizon_days} days, per customer", "what")
    headings = ("expected", "observed", "exp. / obs.", "top tenth", "abs. error", "naive")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in evaluation.coming:
        table.add_row(one.name, *coming_cells(one))
    table.caption = "naive: the mean absolute error of carrying the customer's last year on"
    return table


def coming_cells(one: ComingFigures) -> list[str]:
    """Write how a quantity was foreseen: means, their ratio, also in the top tenth, errors."""
    top = one.tenths[-1] if one.tenths else None
    return [
        f"{one.expected:,.3f}",
        f"{one.observed:,.3f}",
        ratio(one.expected, one.observed),
        ratio(top.expected, top.observed) if top else "-",
        f"{one.mae:,.3f}",
        f"{one.mae_naive:,.3f}",
    ]


def ratio(expected: float, observed: float) -> str:
    """Write expected over observed, or a dash where nothing was observed."""
    return f"{expected / observed:.2f}" if observed else "-"


def _table(title: str, first: str = "score") -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, caption_justify="left")
    table.collapse_padding = True
    table.pad_edge = False
    table.add_column(first, no_wrap=True)
    return table

"""An evaluation in the terminal: order, gain over the baseline, probabilities."""

from __future__ import annotations

from math import isfinite, nan
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from training.evaluation.bootstrap import Interval
from training.evaluation.evaluate import Evaluation, EvaluationRow
from training.evaluation.segments import SegmentRow

_ALONE: Final = "alone: by events seen alone"


def evaluation_table(evaluation: Evaluation) -> Group:
    """Compose three tables with a line for each number of events seen, for 80 columns or more.

    A fourth has a line for each cluster and audience, if there are any.
    """
    tables = [_order_table(evaluation), _gain_table(evaluation), _probability_table(evaluation)]
    if evaluation.segments:
        tables.append(_segment_table(evaluation))
    return Group(*tables)


def number(value: float, digits: int = 3) -> str:
    """Write a figure, or a dash where it isn't defined."""
    return f"{value:.{digits}f}" if isfinite(value) else "-"


def shares(row: SegmentRow) -> list[str]:
    """Write a segment's shares and conversions: of points, of visits, of visits' last points."""
    cells = []
    for part in (row.points, row.visits, row.last):
        cells += [f"{part.share:.1%}", "-" if part.conversion is None else f"{part.conversion:.2%}"]
    return cells


def interval(value: Interval, digits: int = 3) -> str:
    """Write an interval, or nothing where it isn't defined."""
    if not isfinite(value.low):
        return ""
    return f"[{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _order_table(evaluation: Evaluation) -> Table:
    headings = ("n", "buyers", "base rate", "ROC-AUC", "lift at 10 %")
    table = _table("Order: model / logistic baseline", headings)
    for row in evaluation.rows:
        model, baseline = row.model.metrics, row.baseline.metrics
        table.add_row(
            row.name,
            f"{row.n:,}",
            f"{row.buyers:,}",
            number(row.base_rate, 4),
            _both(model.roc_auc, baseline.roc_auc, 3),
            _both(model.lift_at_10, baseline.lift_at_10, 1),
        )
    return table


def _gain_table(evaluation: Evaluation) -> Table:
    headings = ("model", "logistic baseline", "ratio", "alone")
    table = _table("PR-AUC", headings)
    if evaluation.bootstrap:
        table.caption = f"95 % intervals by visitor, {evaluation.bootstrap} draws; {_ALONE}"
    for row in evaluation.rows:
        table.add_row(row.name, *_gain_cells(row))
    return table


def _gain_cells(row: EvaluationRow) -> list[str]:
    model, baseline = row.model.metrics.pr_auc, row.baseline.metrics.pr_auc
    bounds = row.intervals
    # Average precision is positive wherever it is defined.
    ratio = model / baseline if isfinite(baseline) else nan
    return [
        f"{number(model)} {interval(bounds.model_pr_auc)}",
        f"{number(baseline)} {interval(bounds.baseline_pr_auc)}",
        f"{number(ratio, 2)} {interval(bounds.pr_auc_ratio, 2)}",
        number(row.base_rate_metrics.pr_auc),
    ]


def _probability_table(evaluation: Evaluation) -> Table:
    headings = ("log loss", "alone", "ECE", "floor", "pred. / obs.", "slope")
    table = _table("Probabilities: model / logistic baseline", headings)
    table.caption = f"{_ALONE}; floor: ECE of perfect probabilities, by chance"
    for row in evaluation.rows:
        model, baseline = row.model.metrics, row.baseline.metrics
        table.add_row(
            row.name,
            _both(model.log_loss, baseline.log_loss, 4),
            number(row.base_rate_metrics.log_loss, 4),
            _both(model.ece, baseline.ece, 4),
            number(row.model.ece_floor.mean, 4),
            number(model.predicted_over_observed, 2),
            number(model.calibration_slope, 2),
        )
    return table


def _segment_table(evaluation: Evaluation) -> Table:
    headings = ("points", "buy", "visits", "buy", "at the end", "buy")
    table = _table("Clusters and audiences", headings)
    table.columns[0].header = ""
    table.columns[0].justify = "left"
    table.caption = "at the end: visits that were in it at their last point before an order"
    for row in evaluation.segments:
        table.add_row(row.id, *shares(row))
    return table


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, caption_justify="left")
    table.collapse_padding = True
    table.pad_edge = False
    for heading in ("seen", *headings):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _both(model: float, baseline: float, digits: int) -> str:
    return f"{number(model, digits)} / {number(baseline, digits)}"

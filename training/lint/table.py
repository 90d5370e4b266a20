"""Lint a table of decision rows: whatever made it, by what its columns tell."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.lint.columns import lint_ahead, lint_columns, lint_totals
from training.lint.encoded import lint_own_rows
from training.lint.models import (
    lint_days,
    lint_mid_visit,
    lint_repeated,
    lint_shuffled,
    lint_split,
    small_model_aucs,
)
from training.lint.report import Finding, LintReport
from training.lint.rows import RowTable, enough
from training.models.rows import DecisionRows

BoolArray = npt.NDArray[np.bool_]

_LATER_SHARE: Final = 0.2


def lint_table(table: RowTable, looked_at: str) -> LintReport:
    """Run every check that a table of rows alone allows."""
    rows, judged = table.rows, table.judged
    skipped: dict[str, str] = {}
    columns = lint_features(rows, judged)
    later = judged if judged is not None else later_visits(rows)
    fit, judge = rows.take(~later), rows.take(later)
    found: list[Finding] = [*columns.findings, *lint_repeated(rows)]
    checked = [*columns.checked, "split"]
    figures: dict[str, Any] = {}
    if judged is not None:
        found += lint_split(fit, judge)
    if enough(fit) and enough(judge):
        shuffled, figures["shuffled-labels"] = lint_shuffled(fit, judge)
        aucs, by_gain = small_model_aucs(fit, judge)
        figures["mid-visit-auc"] = {str(k): round(auc, 4) for k, (auc, _, _) in aucs.items()}
        what = f"all features, most by {', '.join(by_gain)}"
        found += [*shuffled, *lint_mid_visit(aucs, what)]
        checked += ["shuffled-labels", "mid-visit-auc"]
    else:
        skipped |= dict.fromkeys(
            ("shuffled-labels", "mid-visit-auc"), "fewer than 20 visitors buy, or don't, on a side"
        )
    if rows.day.any():
        days, figures["train-later"] = lint_days(fit, judge)
        found += days
        checked.append("train-later")
    else:
        skipped["train-later"] = "the table has no column day"
    return LintReport(looked_at, tuple(checked), tuple(found), skipped, figures)


def lint_features(rows: DecisionRows, judged: BoolArray | None = None) -> LintReport:
    """Run the checks of single features; cheap enough for every training."""
    checks = ("outcome-values", "single-feature-auc", "looks-ahead", "own-rows", "user-totals")
    if not enough(rows):
        reason = "fewer than 20 visitors buy, or don't"
        return LintReport("features", skipped=dict.fromkeys(checks, reason))
    found = [*lint_columns(rows), *lint_ahead(rows), *lint_totals(rows)]
    found += lint_own_rows(rows, judged)
    return LintReport("features", checks, tuple(found))


def later_visits(rows: DecisionRows) -> BoolArray:
    """Mark the visits that begin on the last fifth of the days; without days, of the visitors."""
    if not rows.day.any():
        mixed = rows.visitor.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
        return mixed.astype(np.float64) / 2.0**64 > 1 - _LATER_SHARE
    days = np.unique(rows.day)
    border = days[min(int(len(days) * (1 - _LATER_SHARE)), len(days) - 1)]
    codes, place = np.unique(rows.session, return_inverse=True)
    begins = np.full(len(codes), np.iinfo(np.int64).max)
    np.minimum.at(begins, place, rows.day)
    later: BoolArray = (begins >= border)[place]
    return later

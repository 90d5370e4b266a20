"""Lint customers at cuts: what the churn model learns from."""

from __future__ import annotations

from typing import Final

import numpy as np

from training.churn.rows import ChurnRows
from training.lint.models import lint_mid_visit
from training.lint.report import Finding, LintReport
from training.lint.table import lint_features
from training.models.rows import DecisionRows

# How a visit goes on is no question here, and single values are honestly certain: of customers with
# twelve orders all come again.
_ASKED: Final = frozenset({"single-feature-auc", "own-rows"})


def lint_customers(rows: ChurnRows) -> LintReport:
    """Look at each feature of customers at cuts alone, in both directions of the outcome."""
    _, visitor = np.unique(rows.visitor, return_inverse=True)
    found: list[Finding] = []
    checked: tuple[str, ...] = ()
    skipped: dict[str, str] = {}
    for label in (rows.label, ~rows.label):
        points = DecisionRows(
            features=rows.features,
            feature_names=rows.feature_names,
            label=label,
            events_seen=np.ones(len(rows), np.int64),
            session=np.arange(len(rows)),
            visitor=visitor.astype(np.int64),
            day=rows.cut,
        )
        report = lint_features(points)
        found += [one for one in report.findings if one.check in _ASKED]
        checked = tuple(one for one in report.checked if one in _ASKED)
        skipped |= {one: why for one, why in report.skipped.items() if one in _ASKED}
    return LintReport("customers", checked, _distinct(found), skipped)


def lint_churn_auc(auc: float, churned: int, others: int) -> list[Finding]:
    """Judge the area that the churn model reached on held-out visitors."""
    return lint_mid_visit({1: (auc, min(churned, others), max(churned, others))}, "churn model")


def _distinct(found: list[Finding]) -> tuple[Finding, ...]:
    kept = {(one.check, one.subject): one for one in reversed(found)}
    return tuple(reversed(kept.values()))

"""The leak linter over the pipeline: what `train` and `lint-data --events` look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from micromoment.errors import NotEnoughDataError
from training.churn.rows import ChurnRows
from training.event_files import EventDays
from training.lint.counterfactual import lint_pipeline
from training.lint.customers import lint_churn_auc, lint_customers
from training.lint.models import MID_VISIT, lint_days, lint_mid_visit, lint_shuffled_areas
from training.lint.numbers import lint_numbers
from training.lint.occurrences import visit_events
from training.lint.report import LeakError, LintReport
from training.lint.table import lint_features
from training.lint.tokens import lint_tokens
from training.lint.worlds import PipelineParts
from training.models.conversion import ConversionParams
from training.models.rows import DecisionRows
from training.pipeline.blocks import Block
from training.pipeline.features import build_history
from training.pipeline.fit import fit_visits
from training.replay.run import ReplaySettings
from training.tables.fit import fit_tables

if TYPE_CHECKING:
    from training.churn.fit import FittedChurn
    from training.pipeline.fit import FittedVisits

# Tokens are looked for in whole parts until so many events are there: about 8 s of CPU.
MAX_TOKEN_EVENTS: Final = 600_000
_SHUFFLES: Final = 1
_NEARLY_PERFECT: Final = 0.95


def lint_source(
    days: EventDays, parts: list[Path], settings: ReplaySettings, publish_lag: timedelta
) -> LintReport:
    """Look at raw events, and at the pipeline itself by counterfactual worlds."""
    events = visit_events(parts, settings, MAX_TOKEN_EVENTS)
    found = (*lint_tokens(events), *lint_numbers(events))
    tokens = LintReport("events", ("outcome-tokens",), found)
    steps = PipelineParts(build_history, fit_tables, settings, publish_lag)
    return tokens.joined(lint_pipeline(days, steps))


def lint_decisions(rows: DecisionRows | None, block: Block, params: ConversionParams) -> LintReport:
    """Look at the rows that conversion is learned from."""
    if rows is None:
        return LintReport("decision points", skipped={"outcome-values": "no decision points"})
    report = _hinting(lint_features(rows))
    later = np.isin(rows.day, [day.toordinal() for day in block.later])
    found, figures = lint_days(rows.take(~later), rows.take(later))
    report = report.joined(
        LintReport("", ("train-later",), tuple(found), figures={"train-later": figures})
    )
    areas = _shuffled_areas(rows, block, params)
    if not areas:
        return report.joined(LintReport("", skipped={"shuffled-labels": "too few buyers"}))
    found, figures = lint_shuffled_areas(areas)
    return report.joined(
        LintReport("", ("shuffled-labels",), tuple(found), figures={"shuffled-labels": figures})
    )


def _hinting(report: LintReport) -> LintReport:
    """Take rank correlations with what is to come for hints, unless they are nearly perfect.

    What looks ahead is found by comparing bits, and some shops' visitors are that regular: where
    visits reload one page, the count so far tells how often they will again.
    """
    found = tuple(
        one.softened()
        if one.check == "looks-ahead" and one.numbers["rank_correlation"] < _NEARLY_PERFECT
        else one
        for one in report.findings
    )
    return replace(report, findings=found)


def _shuffled_areas(
    rows: DecisionRows, block: Block, params: ConversionParams
) -> list[dict[int, tuple[float, int, int]]]:
    """Run the pipeline's own fit and judgement on outcomes shuffled among visits.

    With small leaves, so that rows which both sides share are learned by heart.
    """
    eager = replace(
        params, max_trees=15, num_leaves=63, min_data_in_leaf=5, learning_rate=0.2, patience=15
    )
    buys = np.zeros(int(rows.session.max(initial=-1)) + 1, np.bool_)
    buys[rows.session[rows.label]] = True
    visits = np.unique(rows.session)
    found = []
    for seed in range(_SHUFFLES):
        shuffled = buys.copy()
        shuffled[visits] = np.random.default_rng(seed).permutation(buys[visits])
        try:
            fitted = fit_visits(replace(rows, label=shuffled[rows.session]), (block,), eager)
        except NotEnoughDataError:
            continue
        found.append(_areas(fitted.metrics, (1, *MID_VISIT)))
    return found


def _areas(
    metrics: Mapping[str, Any], ks: tuple[int, ...] = MID_VISIT
) -> dict[int, tuple[float, int, int]]:
    by_k = metrics.get("calibration_days", {})
    areas = {}
    for k in ks:
        at_k = by_k.get(str(k))
        if at_k and at_k["model"]["roc_auc"] is not None:
            buyers = at_k["buyers"]
            areas[k] = at_k["model"]["roc_auc"], buyers, at_k["n"] - buyers
    return areas


def lint_fitted(visits: FittedVisits | None, churn: FittedChurn | None) -> LintReport:
    """Look at what the models reached, and at the customers that churn was learned from."""
    areas = _areas(visits.metrics) if visits else {}
    found = lint_mid_visit(areas, "conversion model")
    report = LintReport("models", ("mid-visit-auc",) if visits or churn else ())
    if churn is not None:
        auc = churn.metrics["held_out_visitors"]["model"]["roc_auc"]
        churned = churn.record["churned"]
        found += lint_churn_auc(auc or 0.0, churned, churn.record["rows"] - churned)
        report = report.joined(lint_churn_rows(churn.rows))
    return report.joined(LintReport("", (), tuple(found)))


def lint_churn_rows(rows: ChurnRows | None) -> LintReport:
    """Look at customers at cuts, if there are any."""
    return LintReport("customers") if rows is None else lint_customers(rows)


def require_clean(report: LintReport, acknowledged: tuple[str, ...]) -> None:
    """Raise `LeakError` when a check found an error that nobody acknowledged."""
    if report.unacknowledged(acknowledged):
        raise LeakError(report, acknowledged)

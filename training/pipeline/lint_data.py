"""Lint without training: a folder of events, or anybody's table of decision rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from micromoment.errors import InvalidSettingError, NotEnoughDataError
from micromoment.events.shop import Shop
from training.churn.cuts import training_cuts
from training.churn.gaps import order_gaps
from training.churn.rows import ChurnRows, CustomerHistory, churn_rows
from training.churn.target import choose_target
from training.event_files import event_days
from training.lint import LintReport
from training.lint.models import lint_mid_visit, small_model_aucs
from training.lint.rows import enough, read_rows
from training.lint.table import lint_table
from training.models.conversion import ConversionParams
from training.models.rows import DecisionRows
from training.pipeline.blocks import Block, forward_blocks
from training.pipeline.learn import Material, learnable
from training.pipeline.lint import lint_churn_rows, lint_decisions, lint_source
from training.pipeline.replayed import replay_for_learning
from training.pipeline.rows import load_rows
from training.pipeline.train import TrainRequest
from training.progress import Steps
from training.tables.order_gaps import collect_purchases

# Customers at cuts that are looked at: each feature of some thousands says enough.
_MAX_CUSTOMERS = 40_000


@dataclass(frozen=True)
class LintRequest:
    """What to look at: either a folder of events, until a day, or a Parquet file of rows."""

    events: Path | None = None
    rows: Path | None = None
    until: date | None = None
    shop: Shop = field(default_factory=Shop)
    publish_lag: timedelta = timedelta(hours=1)
    workers: int = 2


def lint_anything(request: LintRequest, steps: Steps | None = None) -> LintReport:
    """Look for leaks in whichever is given.

    Raises `InvalidSettingError` unless one of the two is, `InvalidDataError` for what can't be
    read, `NotEnoughDataError` for fewer than three days of events.
    """
    steps = steps or Steps()
    if (request.events is None) == (request.rows is None):
        raise InvalidSettingError("events", "give either --events or --rows")
    if request.rows is not None:
        with steps.step("Look for leaks in rows"):
            return lint_table(read_rows(request.rows), str(request.rows))
    return _lint_events(request, steps)


def _lint_events(request: LintRequest, steps: Steps) -> LintReport:
    assert request.events is not None  # noqa: S101 - by the check above  # nosec B101
    asked = TrainRequest(
        events=request.events,
        workspace=Path(),
        until=request.until,
        shop=request.shop,
        publish_lag=request.publish_lag,
        workers=request.workers,
    )
    days = event_days(request.events).between(last=request.until)
    if not days.files:
        raise NotEnoughDataError(f"{request.events} holds no events until {request.until}")
    blocks = forward_blocks(days.days)
    settings = asked.replay
    with TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        replayed = replay_for_learning(days, settings, request.publish_lag, scratch, steps)
        with steps.step("Look for leaks in events and pipeline"):
            report = lint_source(days, replayed.parts, settings, request.publish_lag)
        material = Material(
            asked,
            days,
            blocks,
            replayed.parts,
            replayed.report,
            replayed.workspace,
            replayed.tables,
        )
        with steps.step("Look for leaks in features"):
            report = report.joined(_of_rows(material, blocks[-1]))
        with steps.step("Look for leaks in customers"):
            report = report.joined(_of_customers(material))
    return LintReport(
        f"{request.events}, {days.days[0]} to {days.days[-1]}",
        report.checked,
        report.findings,
        report.skipped,
        report.figures,
    )


def _of_rows(material: Material, block: Block) -> LintReport:
    rows = None
    if material.replayed.decisions:
        censored_from = material.end_us - material.request.replay.expiry_us
        found = load_rows(
            material.workspace,
            material.replayed.outputs,
            censored_from=censored_from,
            sample=material.sample,
        )
        rows = learnable(found, material.span_days)
    report = lint_decisions(rows, block, ConversionParams())
    return report if rows is None else report.joined(_of_model(rows, block))


def _of_model(rows: DecisionRows, block: Block) -> LintReport:
    later = np.isin(rows.day, [day.toordinal() for day in block.later])
    crossing = np.isin(rows.session, np.intersect1d(rows.session[later], rows.session[~later]))
    fit, judge = rows.take(~later & ~crossing), rows.take(later & ~crossing)
    if not (enough(fit) and enough(judge)):
        reason = "fewer than 20 visitors buy, or don't, on a side"
        return LintReport("", skipped={"mid-visit-auc": reason})
    areas, by_gain = small_model_aucs(fit, judge)
    what = f"all features, most by {', '.join(by_gain)}"
    figures = {"mid-visit-auc": {str(k): round(auc, 4) for k, (auc, _, _) in areas.items()}}
    return LintReport("", ("mid-visit-auc",), tuple(lint_mid_visit(areas, what)), {}, figures)


def _of_customers(material: Material) -> LintReport:
    return lint_churn_rows(_customers(material))


def _customers(material: Material) -> ChurnRows | None:
    request, days = material.request, material.days
    gaps = order_gaps(collect_purchases(material.parts, request.replay), material.end_us)
    end = days.days[-1] + timedelta(days=1)
    choice = choose_target(gaps, (end - days.days[0]).days)
    if choice.target is None:
        return None
    history = CustomerHistory(
        material.workspace, request.replay.shop, request.publish_lag, material.tables
    )
    plan = training_cuts(choice.target, days.days[0], end)
    return churn_rows(history, plan, _MAX_CUSTOMERS)

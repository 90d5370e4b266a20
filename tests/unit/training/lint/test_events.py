"""Leaks in raw events and in the pipeline: planted into made-up visits, and found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import training.replay.run as replay_run
from micromoment.events.shop import Shop
from micromoment.events.vocabulary import EventType, PageType
from micromoment.features.tables import Tables
from tests.support.events import SECOND, AnEvent
from tests.support.visits import made_up_visits, write_days
from training.event_files import EventDays, event_days
from training.lint.counterfactual import lint_pipeline
from training.lint.occurrences import visit_events
from training.lint.report import Finding, LintReport, Severity
from training.lint.tokens import lint_tokens
from training.lint.worlds import History, PipelineParts
from training.pipeline.features import UserHistory, build_history
from training.replay.partition import partition_events
from training.replay.run import ReplaySettings, UserRows
from training.tables.fit import fit_tables

SETTINGS = ReplaySettings(Shop())
LAG = timedelta(hours=1)
PIPELINE = PipelineParts(build_history, fit_tables, SETTINGS, LAG)
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def visits() -> list[AnEvent]:
    """Visits of five days, about one in seven with an order."""
    return made_up_visits(900, days=5, seed=3)


@pytest.fixture(scope="module")
def days(visits: list[AnEvent], tmp_path_factory: pytest.TempPathFactory) -> EventDays:
    """The same as files."""
    return event_days(write_days(tmp_path_factory.mktemp("events"), visits))


def token_findings(visits: Sequence[AnEvent], folder: Path) -> list[Finding]:
    """Look at the tokens of visits."""
    ordered = sorted(visits, key=lambda event: event.event_time)
    parts = partition_events(event_days(write_days(folder / "days", ordered)), folder / "parts")
    return lint_tokens(visit_events(parts, SETTINGS, 1_000_000))


def buyers(visits: Sequence[AnEvent]) -> set[str]:
    """Name the sessions with an order."""
    return {event.session_id for event in visits if event.type is EventType.PURCHASE}


def page_before(visits: Sequence[AnEvent]) -> list[AnEvent]:
    """Add a page that is seen only when the order is as good as placed."""
    pages = [
        replace(
            event,
            event_id=f"{event.event_id}-p",
            type=EventType.PAGE_VIEW,
            event_time=event.event_time - 2_000,
            page_id="/thanks",
            page_type=PageType.OTHER,
            items=(),
        )
        for event in visits
        if event.type is EventType.PURCHASE
    ]
    return [*visits, *pages]


def page_after(visits: Sequence[AnEvent]) -> list[AnEvent]:
    """Add the same page after the order."""
    return [
        replace(event, event_time=event.event_time + SECOND)
        if event.page_id == "/thanks"
        else event
        for event in page_before(visits)
    ]


def language_of_buyers(visits: Sequence[AnEvent]) -> list[AnEvent]:
    """Let a column be filled in for who buys alone, as a join with orders would."""
    bought = buyers(visits)
    return [replace(e, locale="en") if e.session_id in bought else e for e in visits]


@pytest.mark.parametrize(
    ("plant", "severity", "subject"),
    [
        (page_before, Severity.ERROR, "page_id = '/thanks'"),
        (page_after, Severity.WARNING, "page_id = '/thanks'"),
        (language_of_buyers, Severity.ERROR, "locale = 'en' at the first event"),
    ],
)
def test_values_that_only_buyers_have_are_found(
    visits: list[AnEvent],
    tmp_path: Path,
    plant: Callable[[Sequence[AnEvent]], list[AnEvent]],
    severity: Severity,
    subject: str,
) -> None:
    """Before the order they are an error, after it a warning."""
    found = token_findings(plant(visits), tmp_path)
    assert (severity, subject) in {(one.severity, one.subject) for one in found}
    if severity is Severity.WARNING:
        assert not [one for one in found if one.severity is Severity.ERROR]


def test_honest_events_and_the_pipeline_are_clean(
    visits: list[AnEvent], days: EventDays, tmp_path: Path
) -> None:
    """Nothing is found where nothing was planted, in any of the worlds."""
    assert token_findings(visits, tmp_path) == []
    report = lint_pipeline(days, PIPELINE)
    assert report.findings == ()
    assert report.skipped == {}
    assert report.figures["pipeline"]["orders_taken_back"] >= 5


def checks_of(report: LintReport) -> set[str]:
    """Name the checks that found something."""
    return {one.check for one in report.findings}


def test_encodings_fitted_on_their_own_rows_are_found(days: EventDays) -> None:
    """Tables without folds: each visitor is encoded by what they did themselves."""

    def fit_on_all(parts: list[Path], settings: ReplaySettings) -> Tables:
        tables = fit_tables(parts, settings)
        first = tables.page_values[:1]
        return tables._replace(page_values=np.repeat(first, len(tables.page_values), axis=0))

    report = lint_pipeline(days, replace(PIPELINE, fit_tables=fit_on_all))
    assert checks_of(report) == {"changed-outcomes"}
    assert "page_weight_sum" in {one.subject for one in report.findings}


class TooLate(UserHistory):
    """Gives the snapshot of the midnight after the visit."""

    def rows_at(self, take_ups: pa.Table) -> UserRows:
        """Look a day ahead."""
        times = pc.cast(take_ups["take_up_time"], pa.int64()).to_numpy() + DAY_US
        place = take_ups.column_names.index("take_up_time")
        later = pa.array(times).cast(pa.timestamp("us", tz="UTC"))
        return super().rows_at(take_ups.set_column(place, "take_up_time", later))


def test_user_totals_with_the_visit_itself_are_found(days: EventDays) -> None:
    """A snapshot that is cut too late holds the visit, and its order."""

    def build_late(*arguments: object) -> History:
        return TooLate(build_history(*arguments).workspace)  # type: ignore[arg-type]

    report = lint_pipeline(days, replace(PIPELINE, build_history=build_late))
    assert "user-totals" in checks_of(report)


def test_a_feature_of_the_whole_visit_is_found(
    days: EventDays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts all events of a session changes when later ones never happen."""
    replayed = replay_run.replay_grouped

    def ahead(*arguments: object, **options: bool) -> object:
        moments, features = replayed(*arguments, **options)  # type: ignore[arg-type]
        grouped = arguments[0]
        features["n_distinct_pages"] = np.bincount(grouped.session_of)[grouped.session_of]  # type: ignore[attr-defined]
        return moments, features

    monkeypatch.setattr(replay_run, "replay_grouped", ahead)
    report = lint_pipeline(days, PIPELINE)
    found = {(one.check, one.subject) for one in report.findings}
    assert ("future-events", "n_distinct_pages") in found

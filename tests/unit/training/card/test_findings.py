"""Warnings: found in the figures where there is cause, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tests.support.bundles import bundle_parts
from tests.support.scored import made_up_scores
from training.card import Card
from training.card.findings import find_warnings
from training.card.summary import visits_verdict
from training.evaluation import Evaluation, evaluate
from training.evaluation.bootstrap import Interval
from training.population import Population
from training.publishing.bundle import write_bundle


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Scores near the truth, judged after one and after three events."""
    return evaluate(made_up_scores(3_000), ks=(1, 3), bootstrap=60)


def changed(evaluation: Evaluation, **metrics: float) -> Evaluation:
    """Give the evaluation with other metrics of the model after three events."""
    first, row, last = evaluation.rows
    model = replace(row.model, metrics=replace(row.model.metrics, **metrics))
    return replace(evaluation, rows=(first, replace(row, model=model), last))


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        ("roc_auc", 0.96, "a leak until shown otherwise"),
        ("predicted_over_observed", 1.3, "Predicted over observed purchases lie outside"),
        ("calibration_slope", 0.7, "calibration slope lies outside"),
        ("ece", 0.2, "above what chance explains"),
    ],
)
def test_a_metric_off_is_named_with_its_count(
    evaluation: Evaluation, metric: str, value: float, words: str
) -> None:
    """One warning more, of three events, than for the same figures without it."""
    before = find_warnings(Card("t", visits=evaluation))
    after = find_warnings(Card("t", visits=changed(evaluation, **{metric: value})))
    found = [one for one in after if words in one]
    assert len(found) == 1
    assert "3 events" in found[0]
    assert found[0] not in before


def test_a_gain_that_is_not_proven_is_named(evaluation: Evaluation) -> None:
    """Verdict and warnings speak of the counts whose interval holds 1."""
    assert "at every number of events seen" in visits_verdict(evaluation)
    first, row, last = evaluation.rows
    bounds = replace(row.intervals, pr_auc_ratio=Interval(0.9, 1.4))
    doubtful = replace(evaluation, rows=(first, replace(row, intervals=bounds), last))
    assert "better than the logistic baseline after 1 event and" in visits_verdict(doubtful)
    assert any(
        "No proof of a gain over the logistic baseline after 3 events" in one
        for one in find_warnings(Card("t", visits=doubtful))
    )


def test_judging_days_of_training_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the evaluated days begin before training ends, figures are too good."""
    training = {"first_day": "2024-05-01", "last_day": "2024-05-09"}
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    manifest = write_bundle(folder, bundle_parts(training=training))
    for first, overlaps in ((date(2024, 5, 9), True), (date(2024, 5, 10), False)):
        card = Card("t", bundle=manifest, population=Population((), first, (), 0, None))
        assert any("figures are too good" in one for one in find_warnings(card)) == overlaps

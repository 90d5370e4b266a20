"""The logistic baseline."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest

from micromoment.errors import NotEnoughDataError
from micromoment.features.catalogue import FEATURE_NAMES
from training.evaluation.metrics import measure
from training.models.baseline import BASELINE_FEATURES, LogisticBaseline, fit_baseline
from training.models.rows import DecisionRows

Maker = Callable[..., DecisionRows]


def test_counts_are_in_the_catalogue() -> None:
    """The baseline's features are features of the catalogue, eleven of them."""
    assert set(BASELINE_FEATURES) <= set(FEATURE_NAMES)
    assert len(set(BASELINE_FEATURES)) == 11


def test_baseline_learns_and_repeats(decision_rows: Maker) -> None:
    """On new visits it is better than chance, and the same rows give the same numbers."""
    train, later = decision_rows(3000, 0), decision_rows(1500, 1)
    model, metrics = fit_baseline(train)
    found = measure(later.label, model.probabilities(later.columns(BASELINE_FEATURES)))
    assert found.roc_auc > 0.65
    assert 0.8 < found.predicted_over_observed < 1.25
    assert fit_baseline(train) == (model, metrics)
    assert (metrics.n, metrics.buyers) == (len(train), train.label.sum())


def test_baseline_survives_json(decision_rows: Maker) -> None:
    """Written as JSON and read again, it gives the same bits."""
    rows = decision_rows(300)
    model, _ = fit_baseline(rows)
    plain = json.loads(json.dumps(asdict(model)))
    again = LogisticBaseline(
        tuple(plain["features"]), tuple(plain["coefficients"]), plain["intercept"]
    )
    counts = rows.columns(BASELINE_FEATURES)
    assert np.array_equal(again.raw_scores(counts), model.raw_scores(counts))


def test_folded_coefficients_are_the_pipeline(decision_rows: Maker) -> None:
    """Probabilities follow the stated formula."""
    rows = decision_rows(300)
    model, _ = fit_baseline(rows)
    counts = rows.columns(BASELINE_FEATURES)
    raw = model.intercept + sum(
        coefficient * np.log1p(counts[:, place].astype(float))
        for place, coefficient in enumerate(model.coefficients)
    )
    assert model.probabilities(counts) == pytest.approx(1 / (1 + np.exp(-raw)))


def test_missing_counts_as_none() -> None:
    """A count that was not measured is read as zero, and huge counts stay probabilities."""
    model = LogisticBaseline(("n_events",), (900.0,), 1.0)
    counts = np.array([[np.nan], [0.0], [1e30]], np.float32)
    first, second, third = model.probabilities(counts)
    assert first == second == pytest.approx(1 / (1 + np.exp(-1)))
    assert third == 1.0


def test_constant_count_is_harmless(decision_rows: Maker) -> None:
    """A count that never moves, as of a shop without promotions, gives finite numbers."""
    rows = decision_rows(300)
    features = rows.features.copy()
    features[:, BASELINE_FEATURES.index("n_promo_clicks")] = 0
    model, _ = fit_baseline(replace(rows, features=features))
    assert np.isfinite([*model.coefficients, model.intercept]).all()


def test_one_outcome_is_refused(decision_rows: Maker) -> None:
    """Without buyers there is nothing to fit, and the message says so."""
    rows = decision_rows(100)
    with pytest.raises(NotEnoughDataError, match="baseline: 0 of"):
        fit_baseline(rows.take(~rows.label))

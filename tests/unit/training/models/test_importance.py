"""What a model goes by."""

from __future__ import annotations

from collections.abc import Callable

import lightgbm as lgb
import numpy as np
import pytest

from training.models.importance import FeatureImportance, measure_importance, sample_points
from training.models.rows import DecisionRows

Maker = Callable[..., DecisionRows]


@pytest.fixture(scope="module")
def model(decision_rows: Maker) -> tuple[lgb.Booster, DecisionRows, FeatureImportance]:
    """A small model, what it was fitted on, and its explanation on a sample."""
    rows = decision_rows(800)
    parameters = {"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1}
    data = lgb.Dataset(rows.features, rows.label.astype(int))
    booster = lgb.train(parameters, data, num_boost_round=20)
    return booster, rows, measure_importance(booster.model_to_string(), rows.feature_names, rows)


def test_contributions_add_up_to_the_score(
    model: tuple[lgb.Booster, DecisionRows, FeatureImportance],
) -> None:
    """With the base value, the same for all points, they are the score's log-odds."""
    booster, _, found = model
    raw = np.asarray(booster.predict(found.values, raw_score=True))
    base = raw - found.contributions.sum(axis=1)
    assert base == pytest.approx(np.full(len(raw), base[0]))
    assert found.gain.sum() == pytest.approx(1.0)


def test_what_tells_comes_before_noise(
    model: tuple[lgb.Booster, DecisionRows, FeatureImportance],
) -> None:
    """A feature that knows the visitor's taste outweighs a random one, by both measures."""
    _, rows, found = model
    taste, noise = (rows.feature_names.index(name) for name in ("taste", "noise"))
    assert found.gain[taste] > 2 * found.gain[noise]
    order = found.strongest(len(found.names))
    assert order.index(taste) < order.index(noise)
    assert found.mean_size[order[0]] == found.mean_size.max()


def test_a_sample_is_the_same_again(decision_rows: Maker) -> None:
    """It has the size asked for, no row twice, in order; fewer rows stay as they are."""
    rows = decision_rows(200)
    sample = sample_points(rows, 50, 3)
    assert len(sample) == 50
    assert np.array_equal(sample.features, sample_points(rows, 50, 3).features, equal_nan=True)
    assert sample_points(rows, len(rows), 3) is rows

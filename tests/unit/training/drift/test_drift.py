"""Histograms of training and the stability index against them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.drift import Histogram, TrainingHistograms, histograms_of, measure_shifts
from training.drift.histograms import histogram
from training.drift.psi import shift


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0] * 99 + [0.0] * 3, Histogram((0.0,), (3, 99), 0)),
        ([0.0] * 99 + [1.0], Histogram((0.0,), (99, 1), 0)),
        ([np.nan, np.nan], Histogram((), (0,), 2)),
        ([5.0] * 4 + [np.nan], Histogram((), (4,), 1)),
        ([], Histogram((), (0,), 0)),
    ],
)
def test_repeated_and_missing_values(values: list[float], expected: Histogram) -> None:
    """A flag has a bin for each value, however rare one is; what is missing is counted apart."""
    assert histogram(np.array(values)) == expected


def test_bins_hold_about_a_tenth_each() -> None:
    """Deciles of many distinct values, in whatever order these come."""
    values = np.random.default_rng(1).permutation(np.arange(1_000.0))
    found = histogram(values)
    assert len(found.counts) == 10
    assert all(90 <= count <= 110 for count in found.counts)
    assert found == histogram(np.sort(values))
    assert found.recount(values) == found


def test_what_lies_beyond_training_is_counted_at_the_ends() -> None:
    """The first and the last bin are open."""
    found = Histogram((1.0, 2.0), (0, 0, 0), 0).recount(
        np.array([-9.0, 1.0, 1.5, 2.0, 9.0, np.nan])
    )
    assert (found.counts, found.missing) == ((2, 2, 1), 1)


def test_index_by_hand() -> None:
    """Half and half against a fifth and four fifths: 0.3 ln 1.6 + 0.3 ln 2.5."""
    found = shift("x", Histogram((0.0,), (50, 50), 0), Histogram((0.0,), (20, 80), 0))
    assert found.psi == pytest.approx(0.3 * np.log(1.6) + 0.3 * np.log(2.5))
    same = shift("x", Histogram((0.0,), (50, 50), 10), Histogram((0.0,), (5, 5), 1))
    assert same.psi == pytest.approx(0.0)


def test_the_moved_feature_comes_first() -> None:
    """A shifted one, one that went missing, one that stayed; the unknown and the empty are out."""
    random = np.random.default_rng(3)
    before = random.normal(size=(4_000, 3)).astype(np.float32)
    names = ("n_events", "duration_s", "weekday")
    trained = histograms_of(before, names, random.random(500))
    later = {
        "n_events": random.normal(1.0, 1.0, 3_000),
        "duration_s": np.where(random.random(3_000) < 0.01, np.nan, random.normal(size=3_000)),
        "weekday": random.normal(size=3_000),
        "unknown": np.ones(3),
    }
    found = measure_shifts(trained.features, later)
    assert [one.name for one in found] == ["n_events", "duration_s", "weekday"]
    assert found[0].psi > 0.25 > found[1].psi > found[2].psi
    assert found[2].psi < 0.02
    assert measure_shifts(trained.features, {"weekday": np.zeros(0)}) == ()


def test_encodings_are_left_out() -> None:
    """Fitted apart in training, they lie elsewhere than served ones by design."""
    found = histograms_of(np.zeros((3, 2), np.float32), ("n_events", "campaign_llr"), np.zeros(3))
    assert set(found.features) == {"n_events"}


def test_they_are_the_same_after_json() -> None:
    """Edges, counts and missing values survive exactly."""
    random = np.random.default_rng(4)
    features = random.normal(size=(100, 1)).astype(np.float32)
    found = histograms_of(features, ("n_events",), random.random(50))
    assert TrainingHistograms.from_dict(json.loads(json.dumps(found.to_dict()))) == found

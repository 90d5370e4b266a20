"""From raw scores to probabilities."""

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.scoring.calibration import PlattCalibrator

raws = st.floats(-1e308, 1e308)


@given(raws, st.floats(0.01, 10), st.floats(-10, 10))
def test_probabilities_are_probabilities(raw: float, slope: float, intercept: float) -> None:
    """Whatever a finite raw score is, its probability is finite, from 0 to 1."""
    probability = PlattCalibrator(slope, intercept).probability(raw)
    assert isfinite(probability)
    assert 0.0 <= probability <= 1.0


@given(raws, raws)
def test_a_higher_score_is_never_less_likely(one: float, other: float) -> None:
    """The map keeps the order of scores."""
    calibrator = PlattCalibrator(1.5, -0.5)
    low, high = sorted((one, other))
    assert calibrator.probability(low) <= calibrator.probability(high)


@given(st.floats(-700, 700))
def test_the_map_is_symmetric(raw: float) -> None:
    """The probability of a score and that of its negative add up to 1."""
    calibrator = PlattCalibrator(1.0, 0.0)
    assert calibrator.probability(raw) + calibrator.probability(-raw) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("raw", "probability"),
    [(0.0, 0.5), (1.0, 0.7310585786300049), (-1e308, 0.0), (1e308, 1.0), (-740.0, 4.199e-322)],
)
def test_known_values(raw: float, probability: float) -> None:
    """The logistic function, without overflow at either end."""
    assert PlattCalibrator(1.0, 0.0).probability(raw) == pytest.approx(probability, rel=1e-3)


def test_many_are_the_bits_of_one_by_one() -> None:
    """Offline and online call the same function."""
    calibrator = PlattCalibrator(0.7, 0.3)
    many = calibrator.probabilities([0.1, -3.0, 12.0])
    assert many == [calibrator.probability(raw) for raw in (0.1, -3.0, 12.0)]

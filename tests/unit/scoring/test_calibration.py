"""From raw scores to probabilities."""

from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.scoring.calibration import (
    DEEP_EVENTS,
    DepthCalibrator,
    PlattCalibrator,
    depth_of,
)

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


@given(st.floats(1e-12, 1 - 1e-9), st.floats(0.1, 10), st.floats(-10, 10))
def test_the_raw_score_comes_back(probability: float, slope: float, intercept: float) -> None:
    """A probability tells the raw score that it came from, but for rounding."""
    calibrator = PlattCalibrator(slope, intercept)
    again = calibrator.probability(calibrator.raw_score(probability))
    assert again == pytest.approx(probability, rel=1e-9)


SHALLOW, DEEP = PlattCalibrator(1.4, -1.0), PlattCalibrator(0.9, 0.2)


def test_a_visit_has_its_depth() -> None:
    """Depth runs from 0 at one event to 1 at 40, halfway at the square root, and stays there."""
    assert depth_of(1) == depth_of(0) == 0.0
    assert depth_of(DEEP_EVENTS) == depth_of(10_000) == 1.0
    assert depth_of(4) == pytest.approx(2 * depth_of(2))


def test_the_map_moves_from_first_to_deep() -> None:
    """After one event the first map holds, from 40 on the deep one, in between their mixture."""
    calibrator = DepthCalibrator(SHALLOW, DEEP)
    assert calibrator.at(1) == SHALLOW
    assert calibrator.at(40).slope == calibrator.at(500).slope == pytest.approx(0.9)
    assert calibrator.at(40).intercept == pytest.approx(0.2)
    depth = depth_of(6)
    assert calibrator.at(6).slope == pytest.approx(1.4 - 0.5 * depth)
    assert calibrator.at(6).intercept == pytest.approx(-1.0 + 1.2 * depth)


def test_each_row_has_the_map_of_its_own_depth() -> None:
    """Many rows are the bits of one by one; counts that are missing are an error."""
    calibrator = DepthCalibrator(SHALLOW, DEEP)
    raws, seen = [0.3, 0.3, -4.0], [1, 7, 90]
    one_by_one = [
        calibrator.at(count).probability(raw) for raw, count in zip(raws, seen, strict=True)
    ]
    assert calibrator.probabilities(raws, seen) == one_by_one
    assert one_by_one[0] != one_by_one[1]
    with pytest.raises(ValueError, match="zip"):
        calibrator.probabilities(raws, [1])

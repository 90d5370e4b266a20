"""Fitting the calibrator."""

import logging
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.calibration import PlattCalibrator
from training.models.calibration import fit_platt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def _drawn(slope: float, intercept: float, n: int) -> tuple[FloatArray, BoolArray]:
    rng = np.random.default_rng(8)
    raw = rng.normal(-3, 1.5, n)
    return raw, rng.random(n) < 1 / (1 + np.exp(-(slope * raw + intercept)))


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, -1.0), (1.7, 0.8)])
def test_known_map_is_recovered(slope: float, intercept: float) -> None:
    """Outcomes drawn from a map give that map back."""
    raw, label = _drawn(slope, intercept, 300_000)
    found = fit_platt(raw, label, np.ones(len(raw)))
    assert found.slope == pytest.approx(slope, rel=0.03)
    assert found.intercept == pytest.approx(intercept, abs=0.06)


def test_mean_probability_is_the_base_rate() -> None:
    """After the fit, predicted and observed buyers are equally many, weights counted."""
    raw, label = _drawn(0.5, 0.2, 4000)
    weight = np.random.default_rng(1).random(4000)
    calibrator = fit_platt(raw, label, weight)
    mean = np.average(calibrator.probabilities(raw), weights=weight)
    assert mean == pytest.approx(np.average(label, weights=weight), rel=1e-8)


def test_integer_weight_is_repetition() -> None:
    """A row of weight 3 counts as three rows, one of weight 0 as none."""
    raw, label = _drawn(0.8, 0.0, 1000)
    times = np.random.default_rng(2).integers(0, 4, 1000)
    weighted = fit_platt(raw, label, times.astype(float))
    repeated = fit_platt(np.repeat(raw, times), np.repeat(label, times), np.ones(times.sum()))
    assert weighted.slope == pytest.approx(repeated.slope, rel=1e-6)
    assert weighted.intercept == pytest.approx(repeated.intercept, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda raw, label: (-raw, label), "slope is -"),
        (lambda _, label: (np.where(label, 2.0, -2.0), label), "separates"),
        (lambda _, label: (np.where(label, -2.0, 2.0), label), "backwards"),
        (lambda raw, label: (np.full(len(raw), 0.3), label), "all scores are equal"),
    ],
)
def test_without_a_positive_slope_the_order_stays(
    change: Callable[[FloatArray, BoolArray], tuple[FloatArray, BoolArray]],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The slope falls back to 1, the mean is still the base rate, and the log says why."""
    raw, label = change(*_drawn(1.0, 0.0, 3000))
    with caplog.at_level(logging.WARNING):
        found = fit_platt(raw, label, np.ones(len(raw)))
    assert found.slope == 1.0
    assert np.mean(found.probabilities(raw)) == pytest.approx(label.mean(), rel=1e-8)
    assert reason in caplog.text


@pytest.mark.parametrize("bought", [False, True])
def test_one_outcome_moves_the_mean_only(*, bought: bool) -> None:
    """With one outcome only the mean is the base rate as if one of each more had been seen."""
    raw = np.linspace(-4, 1, 98)
    found = fit_platt(raw, np.full(98, bought), np.ones(98))
    assert found.slope == 1.0
    assert np.mean(found.probabilities(raw)) == pytest.approx(0.99 if bought else 0.01)


def test_far_scores_stay_finite() -> None:
    """Raw scores of hundreds of log-odds are fitted without overflow."""
    raw = np.array([-800.0, -700.0, 600.0, 900.0])
    label = np.array([False, False, False, True])
    found = fit_platt(raw, label, np.ones(4))
    assert isinstance(found, PlattCalibrator)
    assert np.isfinite([found.slope, found.intercept]).all()


def test_bad_rows_are_refused() -> None:
    """No rows, no weight or a score that isn't finite are errors."""
    none = np.zeros(0)
    with pytest.raises(NotEnoughDataError, match="no decision points"):
        fit_platt(none, none.astype(bool), none)
    with pytest.raises(NotEnoughDataError, match="no decision points"):
        fit_platt(np.ones(3), np.array([True, False, True]), np.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        fit_platt(np.array([np.nan, 1.0]), np.array([True, False]), np.ones(2))

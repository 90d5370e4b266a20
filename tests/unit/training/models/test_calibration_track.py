"""A calibration that is carried on from day to day."""

import json

import numpy as np
import pytest

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.calibration import DepthCalibrator, PlattCalibrator
from training.models.calibration_track import (
    CALIBRATION_KS,
    CalibrationTrack,
    DayOutcomes,
    begin_track,
    track_from_dict,
)

TRUE = DepthCalibrator(PlattCalibrator(1.4, -0.5), PlattCalibrator(0.9, 0.4))


def a_day(n: int, seed: int, truth: DepthCalibrator = TRUE, shift: float = 0.0) -> DayOutcomes:
    """Draw a day of n visits at each count, with outcomes by the true map plus a shift."""
    rng = np.random.default_rng(seed)
    seen = np.repeat(CALIBRATION_KS, n)
    raw = rng.normal(-4 + 0.8 * np.log(seen), 1.2)
    maps = [truth.at(int(count)) for count in seen]
    log_odds = np.array([one.slope for one in maps]) * raw + [one.intercept for one in maps]
    return DayOutcomes(raw, rng.random(len(raw)) < 1 / (1 + np.exp(-log_odds - shift)), seen)


def predicted_over_observed(track: CalibrationTrack, day: DayOutcomes) -> float:
    """Compare the buyers that a track expects with those that came."""
    seen = day.events_seen.tolist()
    return sum(track.calibrator.probabilities(day.raw.tolist(), seen)) / int(day.label.sum())


def test_the_true_map_is_found() -> None:
    """Many visits give back the map that their outcomes were drawn from, at both ends."""
    days = [a_day(20_000, seed) for seed in range(4)]
    track = begin_track(days)
    for day in days:
        track = track.after(day)
    found = track.calibrator
    for one, other in ((found.first, TRUE.first), (found.deep, TRUE.deep)):
        assert one.slope == pytest.approx(other.slope, abs=0.06)
        assert one.intercept == pytest.approx(other.intercept, abs=0.15)


def test_few_buyers_move_it_little() -> None:
    """A day of few visits leaves what many days said almost in place; many visits do not."""
    days = [a_day(3_000, seed) for seed in range(5)]
    track = begin_track(days)
    for day in days:
        track = track.after(day)
    few = track.after(a_day(10, 7, shift=-1.0))
    many = track.after(a_day(30_000, 8, shift=-1.0))
    shift = few.mean[0] - track.mean[0], many.mean[0] - track.mean[0]
    assert -0.1 < shift[0] < 0.1
    assert shift[1] < -0.7


def test_it_follows_a_falling_rate() -> None:
    """After a week at half the odds, it predicts what comes; left as it was, it would not."""
    days = [a_day(3_000, seed) for seed in range(3)]
    track = begin_track(days)
    for day in days:
        track = track.after(day)
    moved = track
    for seed in range(10, 17):
        moved = moved.after(a_day(3_000, seed, shift=-0.7))
    later = a_day(30_000, 20, shift=-0.7)
    assert predicted_over_observed(track, later) > 1.5
    assert predicted_over_observed(moved, later) == pytest.approx(1.0, abs=0.1)


def test_days_without_outcomes_make_it_uncertain() -> None:
    """Each day that passes widens what is known, and a longer gap lets the next day say more."""
    day = a_day(2_000, 1)
    track = begin_track([day]).after(day)
    nothing = DayOutcomes(np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.int64))
    waited = track.after(nothing, days=10)
    assert waited.mean == pytest.approx(track.mean)
    assert waited.covariance[0][0] == pytest.approx(track.covariance[0][0] + 10 * 0.1**2)
    other = a_day(200, 2, shift=-1.0)
    assert track.after(other, days=30).mean[0] < track.after(other).mean[0]


def test_the_slope_stays_positive() -> None:
    """Scores that order outcomes backwards never turn the map round."""
    day = a_day(5_000, 3)
    backwards = DayOutcomes(-day.raw - 8, day.label, day.events_seen)
    track = begin_track([backwards]).after(backwards)
    assert track.calibrator.first.slope > 0
    assert track.calibrator.deep.slope > 0


def test_one_outcome_is_refused() -> None:
    """Without a buyer there is nothing to begin from."""
    day = a_day(50, 4)
    nobody = DayOutcomes(day.raw, np.zeros_like(day.label), day.events_seen)
    with pytest.raises(NotEnoughDataError, match="one outcome only"):
        begin_track([nobody])


def test_it_goes_through_json() -> None:
    """What a bundle keeps of it is all of it."""
    day = a_day(500, 5)
    track = begin_track([day]).after(day)
    assert track_from_dict(json.loads(json.dumps(track.to_dict()))) == track

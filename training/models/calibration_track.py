"""A calibrator that moves with time: the numbers of a `DepthCalibrator`, carried on day by day.

The base rate of a shop moves, and a day has few buyers. So what is known of the four numbers is a
Gaussian. It widens with each day that passes (`_DRIFT`), and a day's outcomes narrow it: the
posterior's mode and curvature (Laplace), as in an extended Kalman filter with a logistic
observation (Fahrmeir 1992). A day with few buyers moves it little, a week moves it a lot.

With depth d of the visit, `log-odds = level + slope z + d (level_by_depth + slope_by_depth z)`,
where z is the raw score minus `center`, which keeps level and slope apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.calibration import DepthCalibrator, PlattCalibrator, depth_of

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

# Standard deviations of a day's change of level, slope and their changes by depth. A shop's rate of
# conversion drifts by some per cent a day, more among those who have just come than among those who
# stand at the till; how scores spread follows the model and hardly moves.
_DRIFT: Final = (0.1, 0.01, 0.05, 0.01)
# What is known before the first day: the scores are log-odds already, the base rate is unknown.
_FIRST: Final = (2.0, 0.5, 0.5, 0.5)
CALIBRATION_KS: Final = (1, 2, 3, 5, 10, 20, 40)
_POINT_WEIGHT: Final = 1 / len(CALIBRATION_KS)
_MIN_SLOPE: Final = 0.1  # calibration must never change an order
_STEPS: Final = 50


@dataclass(frozen=True, slots=True)
class DayOutcomes:
    """Visits of one day whose outcomes are known, each after every number of `CALIBRATION_KS`.

    n decision points, arrays of shape (n,). The points of a visit share its outcome, so that each
    counts as the part of an observation that it is.
    """

    raw: FloatArray  # log-odds by the model, before calibration
    label: BoolArray
    events_seen: IntArray


@dataclass(frozen=True, slots=True)
class CalibrationTrack:
    """What is known of a model's calibration as of a day, in numbers that JSON can hold.

    `mean` and `covariance` are those of level, slope, and their changes by depth.
    """

    center: float
    mean: tuple[float, ...]  # 4
    covariance: tuple[tuple[float, ...], ...]  # 4 x 4

    @property
    def calibrator(self) -> DepthCalibrator:
        """The map at its most likely."""
        level, slope, level_by_depth, slope_by_depth = self.mean
        return DepthCalibrator(
            self._map(level, slope), self._map(level + level_by_depth, slope + slope_by_depth)
        )

    def _map(self, level: float, slope: float) -> PlattCalibrator:
        slope = max(slope, _MIN_SLOPE)
        return PlattCalibrator(slope, level - slope * self.center)

    def after(self, day: DayOutcomes, days: int = 1) -> CalibrationTrack:
        """Carry it on by so many days, the last of which had these outcomes (it may have none)."""
        spread = np.array(self.covariance) + days * np.diag(np.square(_DRIFT))
        found, curvature = _most_likely(self, day, np.linalg.inv(spread))
        after = np.linalg.inv(curvature)
        return CalibrationTrack(
            center=self.center,
            mean=tuple(found.tolist()),
            covariance=tuple(map(tuple, after.tolist())),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def track_from_dict(values: dict[str, Any]) -> CalibrationTrack:
    """Rebuild a track from what `to_dict` gave."""
    return CalibrationTrack(
        center=values["center"],
        mean=tuple(values["mean"]),
        covariance=tuple(map(tuple, values["covariance"])),
    )


def begin_track(days: Sequence[DayOutcomes]) -> CalibrationTrack:
    """Begin before these days, knowing nothing but where their scores lie.

    Raises `NotEnoughDataError` unless both outcomes occur.
    """
    raw = np.concatenate([day.raw for day in days])
    label = np.concatenate([day.label for day in days])
    if not label.any() or label.all():
        raise NotEnoughDataError("calibration: decision points of one outcome only")
    # Between the buyers' mean and everybody's, where level and slope are about independent.
    center = (raw[label].mean() + raw.mean()) / 2
    return CalibrationTrack(
        center=float(center),
        mean=(float(center), 1.0, 0.0, 0.0),
        covariance=tuple(map(tuple, np.diag(np.square(_FIRST)).tolist())),
    )


def _most_likely(
    track: CalibrationTrack, day: DayOutcomes, precision: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Find the posterior's mode and its curvature there by Newton's method, with halved steps."""
    mean = np.array(track.mean)
    z = day.raw - track.center
    depth = np.array([depth_of(seen) for seen in day.events_seen.tolist()])
    design = np.stack([np.ones(len(z)), z, depth, depth * z], axis=1)
    label = day.label.astype(np.float64)

    def loss(at: FloatArray) -> float:
        log_odds = design @ at
        losses = np.logaddexp(0.0, log_odds) - label * log_odds
        away = at - mean
        return float(_POINT_WEIGHT * losses.sum() + away @ precision @ away / 2)

    found = mean.copy()
    curvature = precision
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(design @ found, -700, 700)))
        gradient = _POINT_WEIGHT * design.T @ (probability - label) + precision @ (found - mean)
        spread = _POINT_WEIGHT * probability * (1 - probability)
        curvature = (design * spread[:, np.newaxis]).T @ design + precision
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-6 and loss(found - size * step) > loss(found):
            size /= 2
        found = found - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    return found, curvature

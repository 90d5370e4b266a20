"""The bundle's two models: trees with a calibrator, each on its own features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from micromoment.scoring.calibration import DepthCalibrator, PlattCalibrator
from micromoment.scoring.lightgbm_model import LightGbmModel
from micromoment.scoring.manifest import ChurnTarget

Float32Array = npt.NDArray[np.float32]

# Whom each target speaks of, by a feature of the bundle: customers, or visitors who are known.
ELIGIBLE_BY: Final[dict[ChurnTarget, str]] = {
    "purchase": "customer_orders",
    "activity": "customer_active_days",
}


@dataclass(frozen=True, slots=True)
class CalibratedModel:
    """Trees and calibrator. `index` picks the model's features out of the bundle's, in order."""

    trees: LightGbmModel
    calibrator: PlattCalibrator
    feature_names: tuple[str, ...]
    index: npt.NDArray[np.intp]

    def probability(self, row: Float32Array) -> float:
        """Give the calibrated probability of one row of the bundle's features, shape (n,)."""
        return self.calibrator.probability(self.trees.raw_score(row[self.index]))

    def probabilities(self, rows: Float32Array) -> list[float]:
        """Give those of m rows, shape (m, n), each the same bits as one by one."""
        raws = self.trees.raw_scores(rows[:, self.index])
        return self.calibrator.probabilities(raws.tolist())


@dataclass(frozen=True, slots=True)
class ConversionModel:
    """An order later in the visit, with the calibration error by number of events seen.

    `index` picks the model's features out of the bundle's, in order.
    """

    trees: LightGbmModel
    calibrator: DepthCalibrator
    feature_names: tuple[str, ...]
    index: npt.NDArray[np.intp]
    calibration_error: dict[int, float]

    def probabilities(
        self, rows: Float32Array, events_seen: npt.NDArray[np.integer]
    ) -> list[float]:
        """Give the calibrated probabilities of m rows of the bundle's features, shape (m, n).

        `events_seen` has shape (m,). One row has a faster way, to the same bits.
        """
        if len(rows) == 1:
            raws = [self.trees.raw_score(rows[0][self.index])]
        else:
            raws = self.trees.raw_scores(rows[:, self.index]).tolist()
        return self.calibrator.probabilities(raws, events_seen.tolist())

    def at(self, events_seen: int) -> CalibratedModel:
        """Give the model as it is calibrated after so many events."""
        calibrator = self.calibrator.at(events_seen)
        return CalibratedModel(self.trees, calibrator, self.feature_names, self.index)

    def error_at(self, events_seen: int) -> float | None:
        """Give the calibration error measured at the nearest smaller number of events."""
        known = [k for k in self.calibration_error if k <= events_seen]
        return self.calibration_error[max(known)] if known else None


@dataclass(frozen=True, slots=True)
class ChurnModel:
    """No order (`purchase`) or no visit (`activity`) within `horizon_days` from now on.

    It speaks of whoever has `eligible_at`, a place among the bundle's features, at 1 or more.
    """

    model: CalibratedModel
    target: ChurnTarget
    horizon_days: int
    eligible_at: int

    def speaks_of(self, rows: Float32Array) -> npt.NDArray[np.bool_]:
        """Tell of rows of the bundle's features, shape (..., n), whether the target applies."""
        eligible: npt.NDArray[np.bool_] = rows[..., self.eligible_at] >= 1
        return eligible

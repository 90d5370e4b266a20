"""The bundle's two models: trees with a calibrator, each on its own features.

Where churn speaks of orders, BG/NBD has a part in it: see `scoring.orders`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from micromoment.scoring.calibration import DepthCalibrator, PlattCalibrator
from micromoment.scoring.lightgbm_model import LightGbmModel
from micromoment.scoring.manifest import ChurnTarget
from micromoment.scoring.orders import OrderForecast, OrderModel, order_history

Float32Array = npt.NDArray[np.float32]

# Whom each target speaks of, by a feature of the bundle: customers, or visitors who are known.
ELIGIBLE_BY: Final[dict[ChurnTarget, str]] = {
    "purchase": "customer_orders",
    "activity": "customer_active_days",
}
# What the model of orders knows a customer by.
ORDER_FEATURES: Final = (
    "customer_order_days",
    "customer_recency_days",
    "customer_order_age_days",
    "customer_orders",
    "customer_monetary_mean",
    "customer_year_day",
)


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

        `events_seen` has shape (m,).
        """
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


class Prospect(NamedTuple):
    """What is said of a customer's future: churn, and where it speaks of orders, what comes."""

    churn: float
    coming: OrderForecast | None


@dataclass(frozen=True, slots=True)
class OrderParts:
    """What a model of orders adds to the log-odds of churn, and the features that stand for it.

    `share` of its log-odds counts: those of a typical customer, and what goes beyond them. The
    season counts whole.
    """

    share: float
    typical: float
    beyond_typical: float
    season: float
    recency: tuple[str, float]
    year_day: tuple[str, float]


@dataclass(frozen=True, slots=True)
class ChurnModel:
    """No order (`purchase`) or no visit (`activity`) within `horizon_days` from now on.

    It speaks of whoever has `eligible_at`, a place among the bundle's features, at 1 or more.
    `order_places` are those of `ORDER_FEATURES`, for the model of orders; empty without one.
    """

    model: CalibratedModel
    target: ChurnTarget
    horizon_days: int
    eligible_at: int
    orders: OrderModel | None = None
    order_places: tuple[int, ...] = ()

    def speaks_of(self, rows: Float32Array) -> npt.NDArray[np.bool_]:
        """Tell of rows of the bundle's features, shape (..., n), whether the target applies."""
        eligible: npt.NDArray[np.bool_] = rows[..., self.eligible_at] >= 1
        return eligible

    def order_parts(self, row: Float32Array) -> OrderParts:
        """Part what the model of orders adds to one eligible row's log-odds, before calibration."""
        if self.orders is None:
            raise ValueError("the churn model has no model of orders")
        known = row[list(self.order_places)].astype(np.float64).tolist()
        order_days, since_last, since_first, _, _, year_day = known
        history = order_history(order_days, since_last, since_first)
        flat = self.orders.log_odds(history)
        record = self.orders.record
        return OrderParts(
            share=record.share,
            typical=record.typical,
            beyond_typical=flat - record.typical,
            season=self.orders.log_odds(history, self.orders.season(year_day)) - flat,
            recency=(ORDER_FEATURES[1], since_last),
            year_day=(ORDER_FEATURES[5], year_day),
        )

    def prospects(self, rows: Float32Array) -> list[Prospect]:
        """Look at m eligible rows of the bundle's features, shape (m, n): alone, the same bits."""
        model = self.model
        raws = model.trees.raw_scores(rows[:, model.index]).tolist()
        return [self.prospect(raw, row) for raw, row in zip(raws, rows, strict=True)]

    def prospect(self, raw: float, row: Float32Array) -> Prospect:
        """Look at one eligible row of the bundle's features whose trees give `raw`."""
        calibrator = self.model.calibrator
        model = self.orders
        if model is None:
            return Prospect(calibrator.probability(raw), None)
        known = row[list(self.order_places)].astype(np.float64).tolist()
        order_days, since_last, since_first, orders, mean, year_day = known
        history = order_history(order_days, since_last, since_first)
        season = model.season(year_day)
        churn = calibrator.probability(model.blend(raw, history, season))
        return Prospect(churn, model.expected(churn, history, season, orders, mean))

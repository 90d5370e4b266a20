"""The model of orders fitted, and applied to rows: by serving's own arithmetic, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.manifest import OrdersRecord, OrderValueRecord
from micromoment.scoring.models import ORDER_FEATURES
from micromoment.scoring.orders import OrderHistory, OrderModel, order_history
from training.churn.bg_nbd import BgNbd
from training.churn.gamma_gamma import fit_gamma_gamma
from training.churn.gaps import OrderGaps
from training.churn.rows import ChurnRows
from training.churn.season import fit_season

FloatArray = npt.NDArray[np.float64]

# Weights of a mean that are estimated do worse on later data than equal ones (Clemen 1989,
# "Combining forecasts"): most so here, where held-out customers are of the cuts that taught.
EQUAL: float = 0.5


@dataclass(frozen=True, slots=True)
class OrderColumns:
    """Log-odds of no order of n rows, in a mean season, and what the season adds to them; (n,)."""

    flat: FloatArray
    season: FloatArray

    def blend(self, trees: FloatArray, share: float) -> FloatArray:
        """Give what `OrderModel.blend` does."""
        blended: FloatArray = (1.0 - share) * trees + share * self.flat + self.season
        return blended


def fit_orders(
    bg_nbd: BgNbd, customers: ChurnRows, gaps: OrderGaps, first_day: date, end: date, horizon: int
) -> OrdersRecord:
    """Fit season and order value beside BG/NBD; `customers` are all, as of `end`."""
    return OrdersRecord(
        r=bg_nbd.r,
        alpha=bg_nbd.alpha,
        a=bg_nbd.a,
        b=bg_nbd.b,
        season=fit_season(gaps.at, first_day, end, horizon),
        share=EQUAL,
        typical=0.0,
        repeats=1.0,
        value=_fit_value(customers),
    )


def _fit_value(customers: ChurnRows) -> OrderValueRecord | None:
    orders, mean = (
        customers.column(name) for name in ("customer_orders", "customer_monetary_mean")
    )
    try:
        return fit_gamma_gamma(orders, mean).to_record()
    except NotEnoughDataError:
        return None


def order_columns(model: OrderModel, rows: ChurnRows) -> OrderColumns:
    """Apply BG/NBD to rows."""
    flat, season = np.empty(len(rows)), np.empty(len(rows))
    for place, (history, factor) in enumerate(_known(model, rows)):
        flat[place] = model.log_odds(history)
        season[place] = model.log_odds(history, factor) - flat[place]
    return OrderColumns(flat, season)


def fit_repeats(model: OrderModel, rows: ChurnRows, churn: FloatArray) -> float:
    """Scale the orders after the first within the horizon, so that all orders are as many as came.

    `churn` are the calibrated probabilities of the rows, shape (n,).
    """
    plain = OrderModel(model.record.model_copy(update={"repeats": 1.0}), model.horizon_days)
    some = 1.0 - churn
    expected = np.array(
        [
            plain.expected(float(one), history, factor, 0.0, 0.0).orders
            for one, (history, factor) in zip(churn, _known(plain, rows), strict=True)
        ]
    )
    repeats = float((expected - some).sum())
    return max(float((rows.orders - some).sum()), 0.0) / repeats if repeats > 0 else 1.0


def _known(model: OrderModel, rows: ChurnRows) -> list[tuple[OrderHistory, float]]:
    order_days, since_last, since_first, _, _, year_day = (
        rows.column(name).tolist() for name in ORDER_FEATURES
    )
    return [
        (order_history(*one), model.season(day))
        for *one, day in zip(order_days, since_last, since_first, year_day, strict=True)
    ]

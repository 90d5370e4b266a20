"""What the churn model has to beat: recency alone, a logistic regression, and BG/NBD for orders.

All are functions of the model's own features, so that they judge the very same rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from micromoment.scoring.manifest import ChurnTarget
from training.churn.bg_nbd import BgNbd, fit_bg_nbd
from training.churn.rows import ChurnRows
from training.models.baseline import LogisticBaseline, log_counts

FloatArray = npt.NDArray[np.float64]

RECENCY: Final[dict[ChurnTarget, tuple[str, ...]]] = {
    "purchase": ("customer_recency_days",),
    "activity": ("customer_idle_days",),
}
# Recency, frequency and monetary value; for activity the counts of what visitors did.
LOGISTIC: Final[dict[ChurnTarget, tuple[str, ...]]] = {
    "purchase": ("customer_recency_days", "customer_order_days", "customer_monetary_mean"),
    "activity": (
        "customer_idle_days",
        "customer_active_days_7d",
        "customer_active_days_28d",
        "customer_sessions",
        "customer_events_28d",
        "customer_page_views_28d",
        "customer_item_views_28d",
        "customer_cart_adds_28d",
        "customer_checkouts_28d",
        "customer_engagement_s_28d",
        "customer_orders",
    ),
}
NAMES: Final = ("recency", "logistic", "bg_nbd")
_FITTED_ON: Final = 100_000  # customers, which is plenty for four parameters


@dataclass(frozen=True, slots=True)
class ChurnBaselines:
    """Fitted baselines, in numbers that JSON can hold; BG/NBD is of orders alone."""

    recency: LogisticBaseline
    logistic: LogisticBaseline
    bg_nbd: BgNbd | None

    def probabilities(self, rows: ChurnRows, horizon_days: int) -> dict[str, FloatArray]:
        """Give each baseline's probability of churn by name, shape (n,) each."""
        found = {
            name: model.probabilities(_columns(rows, model.features))
            for name, model in (("recency", self.recency), ("logistic", self.logistic))
        }
        if self.bg_nbd is not None:
            found["bg_nbd"] = self.bg_nbd.no_order_within(horizon_days, *order_history(rows))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)


def baselines_from_dict(values: dict[str, Any]) -> ChurnBaselines:
    """Rebuild what `to_dict` gave."""
    logistic = {
        name: LogisticBaseline(
            tuple(values[name]["features"]),
            tuple(values[name]["coefficients"]),
            values[name]["intercept"],
        )
        for name in ("recency", "logistic")
    }
    bg_nbd = BgNbd(**values["bg_nbd"]) if values["bg_nbd"] else None
    return ChurnBaselines(logistic["recency"], logistic["logistic"], bg_nbd)


def fit_baselines(
    rows: ChurnRows, kind: ChurnTarget, customers: ChurnRows | None
) -> ChurnBaselines:
    """Fit on training rows; BG/NBD on `customers`, all of them as of the end of the data."""
    return ChurnBaselines(
        recency=_fit_logistic(rows, RECENCY[kind]),
        logistic=_fit_logistic(rows, LOGISTIC[kind]),
        bg_nbd=_fit_bg_nbd(customers) if customers is not None else None,
    )


def order_history(rows: ChurnRows) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give orders after the first, time from first to last, and since the first, in days.

    Orders of one day count as one, as the model has it; shape (n,) each.
    """
    age = rows.column("customer_order_age_days")
    repeats = np.maximum(rows.column("customer_order_days") - 1.0, 0.0)
    between = np.where(repeats > 0, age - rows.column("customer_recency_days"), 0.0)
    return repeats, np.maximum(between, 0.0), age


def _fit_bg_nbd(customers: ChurnRows) -> BgNbd:
    x, recency, age = order_history(customers)
    if len(x) > _FITTED_ON:
        chosen = np.argsort(customers.visitor, kind="stable")[:_FITTED_ON]
        x, recency, age = x[chosen], recency[chosen], age[chosen]
    return fit_bg_nbd(x, recency, age)


def _fit_logistic(rows: ChurnRows, features: tuple[str, ...]) -> LogisticBaseline:
    scaler, regression = StandardScaler(), LogisticRegression(max_iter=500)
    regression.fit(scaler.fit_transform(log_counts(_columns(rows, features))), rows.label)
    # Standardising is folded into the coefficients.
    coefficients = regression.coef_[0] / scaler.scale_
    intercept = float(regression.intercept_[0] - coefficients @ scaler.mean_)
    return LogisticBaseline(features, tuple(coefficients.tolist()), intercept)


def _columns(rows: ChurnRows, features: tuple[str, ...]) -> FloatArray:
    return np.stack([rows.column(name) for name in features], axis=1)

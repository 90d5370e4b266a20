"""Judging what is expected to come: orders and their value by tenths of the customers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.churn.rows import ChurnRows

FloatArray = npt.NDArray[np.float64]

_TENTHS: Final = 10
_DAYS: Final = 365.0


@dataclass(frozen=True, slots=True)
class Tenth:
    """Rows of about a tenth, by what was expected of them: means of expected and of observed."""

    n: int
    expected: float
    observed: float


@dataclass(frozen=True, slots=True)
class ComingFigures:
    """How one quantity was foreseen, in its unit per customer and cut.

    `mae` is the mean absolute error, `mae_naive` that of the customer's own past: the orders of
    the last 365 days, or of the time since the first, in proportion, times their mean value.
    """

    name: str  # orders or value
    expected: float
    observed: float
    mae: float
    mae_naive: float
    tenths: tuple[Tenth, ...]


@dataclass(frozen=True, slots=True)
class Coming:
    """What a model expects of n rows, shape (n,) each; no value where the shop has none."""

    orders: FloatArray
    value: FloatArray | None


def judge_coming(rows: ChurnRows, coming: Coming, horizon_days: int) -> tuple[ComingFigures, ...]:
    """Measure expected orders and value beside what came."""
    naive = naive_orders(rows, horizon_days)
    figures = [_figures("orders", coming.orders, rows.orders, naive)]
    if coming.value is not None:
        worth = np.nan_to_num(naive * rows.column("customer_monetary_mean"))
        figures.append(_figures("value", coming.value, rows.value, worth))
    return tuple(figures)


def naive_orders(rows: ChurnRows, horizon_days: int) -> FloatArray:
    """Carry the last year on: its orders, or those since the first order, in proportion."""
    age = np.clip(rows.column("customer_order_age_days"), horizon_days, _DAYS)
    return rows.column("customer_orders_365d") * horizon_days / age


def _figures(
    name: str, expected: FloatArray, observed: FloatArray, naive: FloatArray
) -> ComingFigures:
    parts = np.array_split(np.argsort(expected, kind="stable"), _TENTHS)
    return ComingFigures(
        name=name,
        expected=float(expected.mean()),
        observed=float(observed.mean()),
        mae=float(np.abs(expected - observed).mean()),
        mae_naive=float(np.abs(naive - observed).mean()),
        tenths=tuple(
            Tenth(len(part), float(expected[part].mean()), float(observed[part].mean()))
            for part in parts
            if len(part)
        ),
    )

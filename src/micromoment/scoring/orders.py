"""What a customer's orders so far tell of those to come: BG/NBD, the season, the order value.

Fader, Hardie and Lee 2005, "Counting Your Customers" the Easy Way, Marketing Science 24(2). While
active, a customer orders as a Poisson process whose rate varies as Gamma(r, alpha); after any order
they drop out with a probability that varies as Beta(a, b). Known of a customer are the orders after
the first, the time of the last since the first, and the time since the first. Their orders are
order days; times are in days.

The season stretches the horizon: `season[w]` is how many days of a mean year one day of a horizon
that starts in week w is worth.

All is plain arithmetic on one customer, so that a visit and a file of visits give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Final

from micromoment.scoring.manifest import OrdersRecord, OrderValueRecord

_CLOSE: Final = 1e-9  # probabilities stay so far from 0 and 1, so that log-odds are finite
_POLE: Final = 1e-6  # the expected orders are a limit at a = 1, and for one order at a + b = 1
_FAR: Final = 700.0  # the largest exponent that a float has a place for
_TERMS: Final = 10_000
_DAYS_PER_WEEK: Final = 7
_MICROS: Final = 1_000_000
_MOST_MICROS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class OrderHistory:
    """A customer's order days after the first, first to last, and since the first, in days."""

    repeats: float
    recency: float
    age: float


def order_history(order_days: float, since_last: float, since_first: float) -> OrderHistory:
    """Make it from the number of order days and the days since the last and the first order."""
    repeats = max(order_days - 1.0, 0.0)
    age = max(since_first, 0.0)
    between = max(age - since_last, 0.0) if repeats > 0 else 0.0
    return OrderHistory(repeats, between, age)


def alive(model: OrdersRecord, of: OrderHistory) -> float:
    """Probability that the customer has not dropped out.

    Who ordered once can't have dropped out by this model: it is 1 for them, and not what churn is.
    """
    if of.repeats <= 0:
        return 1.0
    waits = log((model.alpha + of.age) / (model.alpha + of.recency))
    ratio = exp(min((model.r + of.repeats) * waits, _FAR))
    return 1.0 / (1.0 + model.a / (model.b + of.repeats - 1.0) * ratio)


def any_order(model: OrdersRecord, of: OrderHistory, days: float) -> float:
    """Probability of an order day within so many days from now."""
    reach = model.alpha + of.age
    none = exp((model.r + of.repeats) * log(reach / (reach + days)))
    return alive(model, of) * (1.0 - none)


def expected_orders(model: OrdersRecord, of: OrderHistory, days: float) -> float:
    """Give the expected number of order days within so many days from now (their equation 10).

    Gauss's function is taken after Euler's transformation, (1 - z)^(a - 1 + r + x) times
    F(a + b - 1 - r, a - 1; a + b + x - 1; z): its series then has small terms for any x.
    """
    a = 1.0 + _POLE if abs(model.a - 1.0) < _POLE else model.a
    bottom = a + model.b + of.repeats - 1.0
    bottom = bottom if abs(bottom) > _POLE else _POLE
    z = days / (model.alpha + of.age + days)
    gauss = _gauss(a + model.b - 1.0 - model.r, a - 1.0, bottom, z)
    inner = 1.0 - exp((a - 1.0) * log(1.0 - z)) * gauss
    return bottom / (a - 1.0) * inner * alive(model, of)


def _gauss(p: float, q: float, bottom: float, z: float) -> float:
    term = total = 1.0
    for n in range(_TERMS):
        term *= (p + n) * (q + n) / ((bottom + n) * (n + 1.0)) * z
        total += term
        if abs(term) < 1e-15 * abs(total):
            break
    return total


def order_value(record: OrderValueRecord, orders: float, mean: float) -> float:
    """Give the expected value of an order, in the shop's currency.

    It is the posterior mean of Gamma-Gamma (Fader, Hardie and Lee 2005, RFM and CLV, Journal of
    Marketing Research 42(4)): the customer's mean, drawn to the shop's.
    """
    known = max(mean, 0.0) * orders
    return (record.weight * record.mean + known) / (record.weight + orders)


@dataclass(frozen=True, slots=True)
class OrderForecast:
    """What is expected within the horizon: orders, and their value in the shop's currency."""

    orders: float
    value: float | None

    @property
    def value_micros(self) -> int | None:
        """The value in millionths of the currency, as far as 64 bits hold it."""
        return None if self.value is None else min(round(self.value * _MICROS), _MOST_MICROS)


@dataclass(frozen=True, slots=True)
class OrderModel:
    """BG/NBD as a part of the churn model: log-odds of no order, and what comes if one does."""

    record: OrdersRecord
    horizon_days: int

    def season(self, year_day: float) -> float:
        """Give what a day of the horizon is worth that starts on this day of the year."""
        season = self.record.season
        return season[min(max(int(year_day) // _DAYS_PER_WEEK, 0), len(season) - 1)]

    def log_odds(self, of: OrderHistory, season: float = 1.0) -> float:
        """Log-odds of no order within the horizon."""
        some = any_order(self.record, of, self.horizon_days * season)
        some = min(max(some, _CLOSE), 1.0 - _CLOSE)
        return log((1.0 - some) / some)

    def blend(self, trees: float, of: OrderHistory, season: float) -> float:
        """Give the mean of the trees' log-odds and BG/NBD's, by `share`, moved by the season.

        Trees know of no season; what it does to BG/NBD is what it does to both.
        """
        flat = self.log_odds(of)
        share = self.record.share
        return (1.0 - share) * trees + share * flat + (self.log_odds(of, season) - flat)

    def expected(
        self, churn: float, of: OrderHistory, season: float, orders: float, mean: float
    ) -> OrderForecast:
        """Give what comes, where `churn` is the calibrated probability of no order.

        The orders of those who order are BG/NBD's; its repeats, those after the first within the
        horizon, are scaled by `repeats`, which also counts several orders of a day. `orders` and
        `mean` are the customer's orders so far and their mean value.
        """
        days = self.horizon_days * season
        some = max(any_order(self.record, of, days), _CLOSE)
        if_any = max(expected_orders(self.record, of, days) / some, 1.0)
        count = (1.0 - churn) * (1.0 + self.record.repeats * (if_any - 1.0))
        value = self.record.value
        return OrderForecast(
            count, count * order_value(value, orders, mean) if value is not None else None
        )

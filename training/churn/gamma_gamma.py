"""Gamma-Gamma: what a customer's orders are worth, from their number and mean value.

Fader, Hardie and Lee 2005, "RFM and CLV: Using Iso-Value Curves for Customer Base Analysis",
Journal of Marketing Research 42(4); the likelihood is equation 1a of Fader and Hardie's note 025
of 2013. A customer's orders vary as Gamma(p, nu), nu varies as Gamma(q, gamma).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import gammaln

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.manifest import OrderValueRecord

FloatArray = npt.NDArray[np.float64]

_MOST: Final = 12.0  # of the parameters' logarithms, both ways
_PENALTY: Final = 1e-3  # as in BG/NBD: a customer weighs 1


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """The three parameters; q is above 1, so that customers have a mean."""

    p: float
    q: float
    gamma: float

    def to_record(self) -> OrderValueRecord:
        """Write the posterior mean as the customer's mean, drawn to the shop's."""
        mean = self.p * self.gamma / (self.q - 1.0)
        return OrderValueRecord(mean=mean, weight=(self.q - 1.0) / self.p)

    def log_likelihood(self, orders: FloatArray, mean: FloatArray) -> float:
        """Sum over customers of the log-likelihood; `mean` above 0."""
        return float(_log_likelihoods(self.p, self.q, self.gamma, orders, mean).sum())


def fit_gamma_gamma(orders: FloatArray, mean: FloatArray) -> GammaGamma:
    """Fit by maximum likelihood; number and mean value of n customers' orders, shape (n,) each.

    Customers without an order or a value are left out; `NotEnoughDataError` when none is left.
    """
    counted = (orders > 0) & (mean > 0)
    if not counted.any():
        raise NotEnoughDataError("Gamma-Gamma: no customer has an order with a value")
    orders, mean = orders[counted], mean[counted]
    scale = float(np.median(mean))
    mean = mean / scale

    def loss(parameters: FloatArray) -> float:
        p, q, gamma = _bounded(parameters)
        likely = float(_log_likelihoods(p, 1.0 + q, gamma, orders, mean).mean())
        return -likely + _PENALTY / len(orders) * float(parameters @ parameters)

    found = minimize(loss, np.zeros(3), method="L-BFGS-B", options={"maxiter": 2_000})
    p, q, gamma = _bounded(found.x).tolist()
    return GammaGamma(p, 1.0 + q, gamma * scale)


def _bounded(parameters: FloatArray) -> FloatArray:
    bounded: FloatArray = np.exp(np.clip(parameters, -_MOST, _MOST))
    return bounded


def _log_likelihoods(
    p: float, q: float, gamma: float, orders: FloatArray, mean: FloatArray
) -> FloatArray:
    shape = p * orders
    likely: FloatArray = (
        gammaln(shape + q)
        - gammaln(shape)
        - gammaln(q)
        + q * np.log(gamma)
        + (shape - 1) * np.log(mean)
        + shape * np.log(orders)
        - (shape + q) * np.log(gamma + mean * orders)
    )
    return likely

"""BG/NBD: how often customers order, and whether they still do, from three numbers of each.

Fader, Hardie and Lee 2005, "Counting Your Customers" the Easy Way, Marketing Science 24(2). While
active, a customer orders as a Poisson process whose rate varies as Gamma(r, alpha); after any order
they drop out with a probability that varies as Beta(a, b). Known of a customer are `x`, the orders
after the first, `recency`, the time of the last since the first, and `age`, the time since the
first. Times may be in any one unit: that of alpha.

Here over arrays, for fitting and as a baseline; `micromoment.scoring.orders` has it as it serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

from micromoment.errors import NotEnoughDataError

FloatArray = npt.NDArray[np.float64]

_START: Final = np.zeros(4)  # the logarithms of the four parameters
_MOST: Final = 12.0  # of those logarithms, both ways: keeps exponentials finite
_FAR: Final = 700.0  # the largest exponent that a float has a place for
# Keeps the parameters from running away where they are hardly told apart; a customer weighs 1.
_PENALTY: Final = 1e-3


@dataclass(frozen=True, slots=True)
class BgNbd:
    """The four parameters, in numbers that JSON can hold."""

    r: float
    alpha: float
    a: float
    b: float

    def alive(self, x: FloatArray, recency: FloatArray, age: FloatArray) -> FloatArray:
        """Probability that customers have not dropped out, shape (n,) each.

        Who ordered once cannot have dropped out by this model: it is 1 for them.
        """
        waits = np.log((self.alpha + age) / (self.alpha + recency))
        ratio = np.exp(np.minimum((self.r + x) * waits, _FAR))
        odds = self.a / (self.b + np.maximum(x, 1.0) - 1.0) * ratio
        return np.where(x > 0, 1.0 / (1.0 + odds), 1.0)

    def no_order_within(
        self, horizon: float, x: FloatArray, recency: FloatArray, age: FloatArray
    ) -> FloatArray:
        """Probability that no order comes within `horizon` from now."""
        none = np.exp((self.r + x) * np.log((self.alpha + age) / (self.alpha + age + horizon)))
        return 1.0 - self.alive(x, recency, age) * (1.0 - none)

    def log_likelihood(self, x: FloatArray, recency: FloatArray, age: FloatArray) -> float:
        """Sum over customers of the log-likelihood (their equation 6)."""
        parameters = np.log([self.r, self.alpha, self.a, self.b])
        return float(_log_likelihoods(parameters, x, recency, age).sum())


def fit_bg_nbd(x: FloatArray, recency: FloatArray, age: FloatArray) -> BgNbd:
    """Fit by maximum likelihood; n customers, shape (n,) each.

    Raises `NotEnoughDataError` when nobody ordered again.
    """
    if not (x > 0).any():
        raise NotEnoughDataError("BG/NBD: no customer ordered again")
    scale = float(np.median(age)) or 1.0
    recency, age = recency / scale, age / scale

    def loss(parameters: FloatArray) -> float:
        bounded = np.clip(parameters, -_MOST, _MOST)
        likely = float(_log_likelihoods(bounded, x, recency, age).mean())
        return -likely + _PENALTY / len(x) * float(parameters @ parameters)

    found = minimize(loss, _START, method="L-BFGS-B", options={"maxiter": 2_000})
    r, alpha, a, b = np.exp(np.clip(found.x, -_MOST, _MOST)).tolist()
    return BgNbd(r, alpha * scale, a, b)


def _log_likelihoods(
    parameters: FloatArray, x: FloatArray, recency: FloatArray, age: FloatArray
) -> FloatArray:
    r, alpha, a, b = np.exp(parameters)
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    still = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + age)
    repeated = np.maximum(x, 1.0)
    gone = betaln(a + 1, b + repeated - 1) - betaln(a, b) - (r + x) * np.log(alpha + recency)
    likely: FloatArray = common + np.where(x > 0, np.logaddexp(still, gone), still)
    return likely

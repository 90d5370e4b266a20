"""Gamma-Gamma: its likelihood, and customers that follow it."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from micromoment.errors import NotEnoughDataError
from training.churn.gamma_gamma import GammaGamma, fit_gamma_gamma

# Fader and Hardie 2013, note 025: CDNOW, 946 customers who ordered again, dollars.
CDNOW = GammaGamma(p=6.25, q=3.74, gamma=15.44)


def simulated(true: GammaGamma, n: int, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Draw customers by the model's own story: orders and their mean value."""
    random = np.random.default_rng(seed)
    rate = random.gamma(true.q, 1 / true.gamma, n)
    orders = random.geometric(0.4, n).astype(float)
    return orders, random.gamma(true.p * orders) / rate / orders


def test_the_likelihood_is_the_integral_over_customers() -> None:
    """It equals the mean's density given the customer, averaged over customers."""

    def given_customer(rate: float) -> float:
        of_mean = gamma.pdf(30.0, CDNOW.p * 3, scale=1 / (rate * 3))
        return float(of_mean * gamma.pdf(rate, CDNOW.q, scale=1 / CDNOW.gamma))

    expected, _ = quad(given_customer, 0, 5)
    found = CDNOW.log_likelihood(np.array([3.0]), np.array([30.0]))
    assert np.exp(found) == pytest.approx(expected, rel=1e-6)


def test_the_fit_recovers_the_customers_it_came_from() -> None:
    """Mean and weight come back, in any currency."""
    orders, mean = simulated(CDNOW, 20_000)
    fitted = fit_gamma_gamma(orders, mean)
    assert fitted.log_likelihood(orders, mean) >= CDNOW.log_likelihood(orders, mean)
    record, true = fitted.to_record(), CDNOW.to_record()
    assert record.mean == pytest.approx(true.mean, rel=0.03)
    assert record.weight == pytest.approx(true.weight, rel=0.25)
    assert true.mean == pytest.approx(35.2, abs=0.1)
    in_cents = fit_gamma_gamma(orders, mean * 100).to_record()
    assert in_cents.mean == pytest.approx(record.mean * 100, rel=0.01)


def test_equal_values_are_no_failure() -> None:
    """Where all orders are worth the same, that is what one is expected to be worth."""
    record = fit_gamma_gamma(np.array([1.0, 2, 3] * 50), np.full(150, 10.0)).to_record()
    assert record.mean == pytest.approx(10, rel=0.05)


def test_orders_without_values_can_not_be_fitted() -> None:
    """The error says so."""
    with pytest.raises(NotEnoughDataError, match="no customer has an order with a value"):
        fit_gamma_gamma(np.ones(3), np.zeros(3))

"""BG/NBD against its authors' numbers, and against customers that follow it."""

import numpy as np
import pytest
from scipy.integrate import quad

from micromoment.errors import NotEnoughDataError
from training.churn.bg_nbd import BgNbd, fit_bg_nbd

# Fader, Hardie and Lee 2005, table 2: CDNOW, 2,357 customers, weeks.
CDNOW = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)


def one(*values: float) -> tuple[np.ndarray, ...]:
    """Make arrays of one customer."""
    return tuple(np.array([value]) for value in values)


def simulated(model: BgNbd, n: int, age: float, seed: int = 5) -> tuple[np.ndarray, ...]:
    """Draw customers by the model's own story; gives orders after the first, recency, age."""
    random = np.random.default_rng(seed)
    rates = random.gamma(model.r, 1 / model.alpha, n)
    leaves = random.beta(model.a, model.b, n)
    x, recency = np.zeros(n), np.zeros(n)
    for customer in range(n):
        time = random.exponential(1 / rates[customer])
        while time < age:
            x[customer] += 1
            recency[customer] = time
            if random.random() < leaves[customer]:
                break
            time += random.exponential(1 / rates[customer])
    return x, recency, np.full(n, age)


def test_the_likelihood_is_the_integral_over_customers() -> None:
    """Equation 6 equals the likelihood given rate and drop-out, averaged over both."""
    r, alpha, a, b = 0.9, 3.0, 1.2, 2.0
    x, recency, age = 2, 5.0, 8.0
    random = np.random.default_rng(1)
    leaves = random.beta(a, b, 400_000)

    def given_rate(rate: float) -> float:
        stays = (1 - leaves) ** x * rate**x * np.exp(-rate * age)
        goes = leaves * (1 - leaves) ** (x - 1) * rate**x * np.exp(-rate * recency)
        return float((stays + goes).mean())

    def density(rate: float) -> float:
        return float(alpha**r * rate ** (r - 1) * np.exp(-alpha * rate) / 1.0686287021)  # Gamma(.9)

    expected, _ = quad(lambda rate: given_rate(rate) * density(rate), 0, 8, limit=40)
    found = BgNbd(r, alpha, a, b).log_likelihood(*one(x, recency, age))
    assert np.exp(found) == pytest.approx(expected, rel=0.01)


def test_one_time_buyers_are_alive_and_yet_may_not_order() -> None:
    """P(alive) is 1 after one order; the probability of no order within the horizon is not 0."""
    x, recency, age = one(0, 0, 50)
    assert CDNOW.alive(x, recency, age)[0] == 1
    none = CDNOW.no_order_within(39, x, recency, age)[0]
    assert none == pytest.approx(((4.414 + 50) / (4.414 + 50 + 39)) ** 0.243)


def test_one_time_buyers_order_as_often_as_said() -> None:
    """Of those who ordered once, the share that orders within the horizon is the one predicted."""
    true = BgNbd(r=0.8, alpha=8.0, a=0.9, b=3.0)
    random = np.random.default_rng(4)
    # Nobody drops out before their second order.
    second = random.exponential(1 / random.gamma(true.r, 1 / true.alpha, 100_000))
    came = (second[second > 30] <= 42).mean()
    once = one(0, 0, 30)
    assert 1 - true.no_order_within(12, *once)[0] == pytest.approx(came, abs=0.01)
    assert true.alive(*once)[0] == 1


def test_the_fit_recovers_the_customers_it_came_from() -> None:
    """The share without an order in the next weeks is the one predicted, in every third of them."""
    true = BgNbd(r=0.8, alpha=8.0, a=0.9, b=3.0)
    x, recency, age = simulated(true, 6_000, 50.0)
    fitted = fit_bg_nbd(x, recency, age)
    mine = fitted.no_order_within(20, x, recency, age)
    theirs = true.no_order_within(20, x, recency, age)
    assert np.abs(mine - theirs).mean() < 0.02
    assert fitted.log_likelihood(x, recency, age) >= true.log_likelihood(x, recency, age)
    # The unit of time does not matter.
    in_days = fit_bg_nbd(x, recency * 7, age * 7)
    assert in_days.alpha == pytest.approx(fitted.alpha * 7, rel=0.02)


def test_nobody_ordering_again_can_not_be_fitted() -> None:
    """The error says so."""
    with pytest.raises(NotEnoughDataError, match="no customer ordered again"):
        fit_bg_nbd(np.zeros(3), np.zeros(3), np.ones(3))

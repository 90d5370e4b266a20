"""Made-up decision points whose true probabilities are known."""

from collections.abc import Callable

import numpy as np
import pytest

from training.models.baseline import BASELINE_FEATURES
from training.models.rows import DecisionRows


def _decision_rows(n_visits: int, seed: int = 0) -> DecisionRows:
    """Make visits of 1 to 40 points, each of one or two events.

    The counts grow with the visit, the cart's and checkout's faster for visits that buy; `taste`
    tells a part of the rest, and is missing in a third of the rows; `noise` tells nothing.
    """
    rng = np.random.default_rng(seed)
    intent = rng.normal(0, 1, n_visits)
    buys = rng.random(n_visits) < 1 / (1 + np.exp(3.0 - 1.5 * intent))
    length = np.clip(rng.geometric(0.12, n_visits), 1, 40)
    session = np.repeat(np.arange(n_visits), length)
    first = np.repeat(np.cumsum(length) - length, length)
    step = rng.integers(1, 3, len(session))
    seen = np.cumsum(step)
    seen = seen - (seen - step)[first]
    pull = np.exp(0.8 * intent)[session]
    features = np.empty((len(session), len(BASELINE_FEATURES) + 2), np.float32)
    for column, name in enumerate(BASELINE_FEATURES):
        rate = 0.05 * pull if "cart" in name or "checkout" in name else 0.3
        features[:, column] = rng.poisson(rate * seen)
    features[:, 0] = seen
    features[:, -2] = intent[session] + rng.normal(0, 0.5, len(session))
    features[rng.random(len(session)) < 1 / 3, -2] = np.nan
    features[:, -1] = rng.random(len(session))
    return DecisionRows(
        features=features,
        feature_names=(*BASELINE_FEATURES, "taste", "noise"),
        label=buys[session],
        events_seen=seen,
        session=session,
        visitor=session // 2,
        day=737_000 + session * 10 // n_visits,
    )


@pytest.fixture(scope="session")
def decision_rows() -> Callable[..., DecisionRows]:
    """The maker of decision points: `decision_rows(n_visits, seed)`."""
    return _decision_rows

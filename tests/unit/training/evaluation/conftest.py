"""A made-up shop's scored events, whose true probabilities are known."""

from collections.abc import Callable

import pandas as pd
import pytest

from tests.support.scored import made_up_scores


@pytest.fixture(scope="session")
def scored_events() -> Callable[..., pd.DataFrame]:
    """The maker of scored events: `scored_events(n_visitors, seed)`."""
    return made_up_scores

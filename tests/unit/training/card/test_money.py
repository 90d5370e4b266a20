"""What an action is worth, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.card.money import net_gain
from training.evaluation.evaluate import GAIN_SHARES


def test_net_gain_by_hand() -> None:
    """Orders added times their value, less the actions' cost, per 1,000 visits."""
    captured = np.linspace(0.1, 1.0, len(GAIN_SHARES))
    gain = net_gain(captured, 0.02, cost=0.5, value=60.0, uplift=0.1)
    # All 1,000 visits: 20 buyers, 2 orders more at 60 each, 1,000 actions at 0.5.
    assert gain[-1] == pytest.approx(2 * 60 - 500)
    # The best one in a thousand: one action, a tenth of the buyers, 0.2 orders more.
    assert gain[0] == pytest.approx(0.2 * 60 - 0.5)


def test_a_random_choice_is_worth_its_share_of_all() -> None:
    """Where as many buyers as visits are chosen, money grows in proportion."""
    shares = np.array(GAIN_SHARES)
    gain = net_gain(shares, 0.02, cost=0.1, value=60.0, uplift=0.1)
    assert gain == pytest.approx(shares * gain[-1])

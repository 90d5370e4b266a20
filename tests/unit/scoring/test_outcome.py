"""Which probabilities apply to a visit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.scoring.outcome import abandonment_of, conversion_of


@given(st.floats(0, 1), st.booleans())
def test_after_a_purchase_nothing_is_predicted(probability: float, cart_filled: bool) -> None:
    """A converted visit has neither a conversion nor an abandonment, whatever is in its cart."""
    assert conversion_of(probability, True) is None
    assert abandonment_of(probability, True, cart_filled) is None


@given(st.floats(0, 1))
def test_abandonment_is_the_exact_complement(probability: float) -> None:
    """With something in the cart it is 1 - conversion to the last bit, without it is absent."""
    assert conversion_of(probability, False) == probability
    assert abandonment_of(probability, False, True) == 1.0 - probability
    assert abandonment_of(probability, False, False) is None


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certainty_is_a_value(probability: float) -> None:
    """A probability of 0 is not an absent one."""
    assert conversion_of(probability, False) == probability

"""Why a score is what it is."""

import numpy as np

from micromoment.scoring.reasons import MAX_REASONS, top_reasons

NAMES = ("n_events", "cart_value", "duration_s", "n_searches", "device", "weekday", "stage")


def test_the_largest_five_by_size() -> None:
    """Order is by size, whatever the sign; the base value at the end is no reason."""
    row = np.arange(7, dtype=np.float32)
    contributions = np.array([0.1, -0.5, 0.3, -0.2, 0.4, 0.05, 0.01, 9.0])
    reasons = top_reasons(NAMES, row, contributions)
    assert [reason.contribution for reason in reasons] == [-0.5, 0.4, 0.3, -0.2, 0.1]
    assert [reason.feature for reason in reasons][:2] == ["cart_value", "device"]
    assert len(reasons) == MAX_REASONS


def test_what_contributes_nothing_is_no_reason() -> None:
    """Features without a contribution are left out, even when fewer than five remain."""
    contributions = np.array([0.0, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    reasons = top_reasons(NAMES, np.ones(7, np.float32), contributions)
    assert [reason.feature for reason in reasons] == ["cart_value"]


def test_sentences() -> None:
    """A sentence has meaning, value, unit and direction; a missing value says why it is."""
    row = np.array([3, np.nan, 0, 0, 0, 0, 0], np.float32)
    contributions = np.array([0.5, -0.2, 0, 0, 0, 0, 0, 0.0])
    first, second = top_reasons(NAMES, row, contributions)
    assert first.sentence.endswith(": 3 events raises the probability")
    assert (first.value, second.value) == (3.0, None)
    expected = "value of the cart: missing (no priced product in it) lowers the probability"
    assert second.sentence == expected

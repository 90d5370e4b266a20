"""What a session remembers of consent, and that it found room where there was padding."""

from __future__ import annotations

import numpy as np
import pytest

from micromoment.events.record import (
    FLAG_ADS_DENIED,
    FLAG_ADS_GRANTED,
    FLAG_ANALYTICS_DENIED,
    FLAG_BOT,
    FLAG_PERSONALIZATION_DENIED,
    FLAG_PERSONALIZATION_GRANTED,
    FLAG_PRIVACY_CONTROL,
)
from micromoment.features.families.core import consent_after
from micromoment.features.state import ADDED_IN_PADDING, STATE
from micromoment.stores.session_file import StateFormat

# The layout of states that servers kept before consent was remembered.
BEFORE = "235e6a476c5e82d8"  # pragma: allowlist secret - a digest


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([0, FLAG_BOT, FLAG_ANALYTICS_DENIED], 0),
        ([FLAG_PERSONALIZATION_DENIED, 0], FLAG_PERSONALIZATION_DENIED),
        (
            [FLAG_PERSONALIZATION_DENIED, FLAG_PERSONALIZATION_GRANTED],
            FLAG_PERSONALIZATION_GRANTED,
        ),
        ([FLAG_ADS_GRANTED, FLAG_ADS_DENIED], FLAG_ADS_DENIED),
        (
            [FLAG_ADS_DENIED, FLAG_PERSONALIZATION_DENIED],
            FLAG_ADS_DENIED | FLAG_PERSONALIZATION_DENIED,
        ),
        ([FLAG_PRIVACY_CONTROL, FLAG_PERSONALIZATION_GRANTED], FLAG_PRIVACY_CONTROL | 64),
        ([FLAG_PRIVACY_CONTROL, FLAG_ADS_GRANTED], FLAG_ADS_GRANTED),
        (
            [FLAG_ADS_GRANTED | FLAG_PRIVACY_CONTROL],
            FLAG_ADS_GRANTED | FLAG_PRIVACY_CONTROL,
        ),
    ],
)
def test_the_last_answer_of_each_purpose_counts(flags: list[int], expected: int) -> None:
    """Global Privacy Control holds until ads are granted without it."""
    said = 0
    for one in flags:
        said = consent_after(said, one)
    assert said == expected


def test_the_state_kept_its_place_and_size() -> None:
    """The new byte was padding, so that states from before are read, and neither is overwritten."""
    assert StateFormat().layout == BEFORE
    assert STATE.itemsize == 2_528
    without = [(name, STATE[name]) for name in STATE.names or () if name not in ADDED_IN_PADDING]
    before = np.dtype(without, align=True)
    assert before.itemsize == STATE.itemsize
    assert all(before.fields[name] == STATE.fields[name] for name, _ in without)  # type: ignore[index] # they have fields

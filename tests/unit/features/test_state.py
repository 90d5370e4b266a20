"""The session state: its size, its layout, its version."""

from pathlib import Path

import numpy as np
import pytest

from micromoment.features.families import user
from micromoment.features.layout import state_layout
from micromoment.features.state import FAMILIES, MAX_STATE_BYTES, STATE, STATE_VERSION, new_state

LAYOUT = Path(__file__).with_name(f"state_layout_v{STATE_VERSION}.txt")


def test_a_state_is_small() -> None:
    """A session takes 2,560 bytes at most, so that a million of them fit into 2.5 GB."""
    assert MAX_STATE_BYTES == 2_560
    assert STATE.itemsize <= MAX_STATE_BYTES


def test_a_changed_layout_has_a_new_version() -> None:
    """The layout is that of `STATE_VERSION`; who changes it raises the version, adds a file."""
    assert state_layout() == LAYOUT.read_text(encoding="utf-8")


def test_families_share_no_field() -> None:
    """Each field belongs to one family, and every family's fields are in the state."""
    names = [field[0] for family in FAMILIES for field in family.STATE_FIELDS]
    assert len(set(names)) == len(names)
    assert tuple(names) == STATE.names


def test_a_new_state_is_zero() -> None:
    """A session without events is one zeroed record."""
    state = new_state()
    assert state.shape == (1,)
    assert not any(state.tobytes())


# What is kept apart, because a table is applied to it or a visit adds to it.
DERIVED = {"user_gap_ratio", "user_refund_rate", "user_discount_order_share"}


@pytest.mark.parametrize("name", sorted({spec.name for spec in user.FEATURES} - DERIVED))
def test_user_features_are_kept_as_they_are_given(name: str) -> None:
    """The state keeps a user's features in the vector's own type, so that no bit is lost."""
    assert STATE[name] == np.dtype("f4")


def test_no_value_of_a_table_is_kept() -> None:
    """What rests on a learned table or is a ratio is computed when it is described."""
    assert STATE.names is not None
    assert not DERIVED & set(STATE.names)

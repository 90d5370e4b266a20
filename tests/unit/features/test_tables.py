"""Learned tables as they are stored in a bundle."""

import numpy as np
import pytest

from micromoment.features.tables import Tables, neutral_tables, tables_from_arrays, tables_to_arrays


def test_tables_survive_storage() -> None:
    """What is stored by name comes back with every bit."""
    tables = Tables(np.random.default_rng(1).normal(size=(6, 16, 16)))
    again = tables_from_arrays(tables_to_arrays(tables))
    assert again.transition_llr.tobytes() == tables.transition_llr.tobytes()


def test_neutral_tables_say_nothing() -> None:
    """All ratios are 0."""
    assert neutral_tables(3).transition_llr.shape == (3, 16, 16)
    assert not neutral_tables().transition_llr.any()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((16, 16)), r"transition_llr has shape \(16, 16\)"),
        (np.zeros((1, 16, 15)), r"transition_llr has shape \(1, 16, 15\)"),
        (np.full((1, 16, 16), np.nan), "not finite"),
        (np.full((1, 16, 16), -np.inf), "not finite"),
        (np.zeros((0, 16, 16)), r"transition_llr has shape \(0, 16, 16\)"),
    ],
)
def test_unfit_arrays_are_refused_by_name(array: np.ndarray, message: str) -> None:
    """An array of a wrong shape, without a fold or with values that aren't finite is refused."""
    with pytest.raises(ValueError, match=message):
        tables_from_arrays({"transition_llr": array})


def test_an_absent_table_is_named() -> None:
    """A bundle that lacks a table is told which; a table that this version doesn't know is left."""
    with pytest.raises(ValueError, match="tables are missing: transition_llr"):
        tables_from_arrays({"other": np.zeros(3)})
    arrays = tables_to_arrays(neutral_tables()) | {"other": np.zeros(3)}
    assert tables_from_arrays(arrays).transition_llr.shape == (1, 16, 16)

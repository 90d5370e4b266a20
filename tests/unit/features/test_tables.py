"""Learned tables as they are stored in a bundle."""

import numpy as np
import pytest

from micromoment.features.tables import (
    ENCODINGS,
    POPULARITIES,
    neutral_tables,
    served_tables,
    tables_from_arrays,
    tables_to_arrays,
)
from tests.support.folding import random_tables


def test_tables_survive_storage() -> None:
    """What is stored by name comes back with every bit."""
    tables = random_tables(6)._replace(
        page_keys=np.array([3, 9], np.uint64), page_values=np.arange(12.0).reshape(6, 2)
    )
    again = tables_from_arrays(tables_to_arrays(tables))
    for name, array in tables_to_arrays(tables).items():
        assert getattr(again, name).tobytes() == array.tobytes()


def test_neutral_tables_say_nothing() -> None:
    """All ratios are 0."""
    assert neutral_tables(3).transition_llr.shape == (3, 16, 16)
    assert not neutral_tables().transition_llr.any()
    assert neutral_tables(3).order_gap_days.tolist() == [0, 0, 0]


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
        tables_from_arrays(tables_to_arrays(neutral_tables()) | {"transition_llr": array})


@pytest.mark.parametrize("gaps", [np.zeros(2), np.zeros((1, 1)), np.array([-1.0])])
def test_unfit_order_gaps_are_refused(gaps: np.ndarray) -> None:
    """There is one gap per fold, and none is negative."""
    arrays = tables_to_arrays(neutral_tables()) | {"order_gap_days": gaps}
    with pytest.raises(ValueError, match="order_gap_days must be 1 numbers of 0 or more"):
        tables_from_arrays(arrays)


@pytest.mark.parametrize("name", ENCODINGS)
def test_unfit_encodings_are_refused_by_name(name: str) -> None:
    """Keys out of order, values of another shape or not finite are refused."""
    good = tables_to_arrays(neutral_tables())
    two = np.array([1, 2], np.uint64)
    for keys, values, message in (
        (two[::-1], np.zeros((1, 2)), "are not in ascending order"),
        (two, np.zeros((1, 3)), "have shapes"),
        (two, np.full((1, 2), np.nan), "not finite"),
    ):
        arrays = good | {f"{name}_keys": keys, f"{name}_values": values}
        with pytest.raises(ValueError, match=f"{name}_.*{message}"):
            tables_from_arrays(arrays)


def test_a_bundle_carries_the_tables_of_all_visitors() -> None:
    """The first fold is kept of each table, with all its keys."""
    tables = random_tables(6)._replace(
        item_keys=np.array([4], np.uint64), item_values=np.arange(6.0)[:, np.newaxis]
    )
    served = served_tables(tables)
    assert served.transition_llr.tobytes() == tables.transition_llr[:1].tobytes()
    assert served.order_gap_days.tolist() == tables.order_gap_days[:1].tolist()
    assert served.item_keys.tolist() == [4]
    assert served.item_values.tolist() == [[0.0]]


def test_an_absent_table_is_named() -> None:
    """A bundle that lacks a table is told which; a table that this version doesn't know is left."""
    with pytest.raises(ValueError, match=r"tables are missing: .*transition_llr"):
        tables_from_arrays({"other": np.zeros(3)})
    arrays = tables_to_arrays(neutral_tables()) | {"other": np.zeros(3)}
    assert tables_from_arrays(arrays).transition_llr.shape == (1, 16, 16)


@pytest.mark.parametrize("name", POPULARITIES)
def test_unfit_popularity_is_refused_by_name(name: str) -> None:
    """Days out of order, and priors or rates of another shape, are refused."""
    good = tables_to_arrays(random_tables())
    starts, values = good[f"{name}_starts"], good[f"{name}_values"]
    for changed, message in (
        ({f"{name}_starts": starts[::-1]}, f"{name}_starts are not in ascending order"),
        ({f"{name}_starts": starts[[0, 0]]}, f"{name}_starts are not in ascending order"),
        ({f"{name}_prior": np.zeros(3)}, f"{name}_prior have shapes"),
        ({f"{name}_values": values[:1]}, r"not \(n\) and \(d, n\)"),
        ({f"{name}_keys": good[f"{name}_keys"][::-1]}, f"{name}_keys are not in ascending"),
        ({f"{name}_prior": np.array([0.5, np.nan])}, f"{name}_prior holds values that are not"),
    ):
        with pytest.raises(ValueError, match=message):
            tables_from_arrays(good | changed)
    assert tables_from_arrays(good).price_edges.tolist() == [10, 20, 30, 40, 50, 60, 70, 80, 90]


def test_price_edges_are_in_order() -> None:
    """Edges may repeat, where a tenth of the looks has one price; they never fall."""
    good = tables_to_arrays(neutral_tables())
    assert len(tables_from_arrays(good | {"price_edges": np.ones(9)}).price_edges) == 9
    for edges in (np.array([2.0, 1.0]), np.zeros((1, 9))):
        with pytest.raises(ValueError, match="price_edges are not in ascending order"):
            tables_from_arrays(good | {"price_edges": edges})


def test_a_bundle_carries_the_last_day_s_popularity() -> None:
    """The last row alone is kept, and holds at any time; without a row there is none to keep."""
    tables = random_tables()
    served = served_tables(tables)
    assert served.item_popularity_starts.tolist() == [0]
    assert served.item_popularity_prior.tolist() == tables.item_popularity_prior[1:].tolist()
    assert served.item_popularity_values.tolist() == tables.item_popularity_values[1:].tolist()
    assert served.price_edges.tolist() == tables.price_edges.tolist()
    assert served_tables(neutral_tables()).item_popularity_values.shape == (0, 0)

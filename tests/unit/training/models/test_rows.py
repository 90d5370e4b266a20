"""Decision points as arrays, and their weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from micromoment.errors import NotEnoughDataError
from training.models.rows import DecisionRows
from training.models.weights import prefix_weight, training_weight

Maker = Callable[..., DecisionRows]


def test_take_keeps_rows_together(decision_rows: Maker) -> None:
    """Taking rows takes the same rows of every array, C-contiguous."""
    rows = decision_rows(50)
    some = rows.take(rows.events_seen == 3)
    assert len(some) == (rows.events_seen == 3).sum() > 0
    assert some.features[:, 0].tolist() == some.events_seen.tolist()
    assert some.features.flags.c_contiguous


def test_columns_come_in_the_order_asked_for(decision_rows: Maker) -> None:
    """Named columns come in the order of the names, and an unknown name is named."""
    rows = decision_rows(10)
    assert np.array_equal(rows.columns(("noise", "n_events"))[:, 1], rows.features[:, 0])
    with pytest.raises(KeyError, match="n_sneezes"):
        rows.columns(("n_sneezes",))


def test_only_some_features_are_kept(decision_rows: Maker) -> None:
    """The named features are kept in that order, with every row; an unknown name is named."""
    rows = decision_rows(10)
    some = rows.only(("noise", "n_events"))
    assert some.feature_names == ("noise", "n_events")
    assert np.array_equal(some.features, rows.columns(("noise", "n_events")))
    assert some.label is rows.label
    with pytest.raises(KeyError, match="n_sneezes"):
        rows.only(("n_sneezes",))


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("features", lambda a: a.astype(np.float64), "float32"),
        ("features", np.asfortranarray, "C-contiguous"),
        ("features", lambda a: a[:, :3].copy(), "features have shape"),
        ("label", lambda a: a.astype(np.int8), "label is int8"),
        ("day", lambda a: a[:-1], "day has shape"),
        ("events_seen", lambda a: a - 1, "counts from 1"),
    ],
)
def test_wrong_arrays_are_refused(
    decision_rows: Maker,
    field: str,
    change: Callable[[Any], Any],
    message: str,
) -> None:
    """A wrong type, shape or count is named."""
    rows = decision_rows(10)
    changed: dict[str, Any] = {field: change(getattr(rows, field))}
    with pytest.raises(ValueError, match=message):
        replace(rows, **changed)


def test_one_outcome_is_not_enough(decision_rows: Maker) -> None:
    """Rows with one outcome only are refused with the numbers found."""
    rows = decision_rows(50)
    rows.take(rows.label | ~rows.label).require_both_outcomes("model")
    with pytest.raises(NotEnoughDataError, match="model: 0 of"):
        rows.take(~rows.label).require_both_outcomes("model")


def test_training_weight_depends_on_the_point_alone() -> None:
    """A point after four events counts half as much as one after the first."""
    assert training_weight(np.array([1, 4, 100])).tolist() == [1.0, 0.5, 0.1]


def test_prefix_weight_by_hand() -> None:
    """Each k shares a weight of 1 among the first points with so many events, one per visit."""
    session = np.array([7, 7, 7, 3, 3, 9])
    seen = np.array([1, 3, 4, 2, 5, 1])
    found = prefix_weight(seen, session, (1, 2, 3, 5, 50))
    at_1, at_2, at_3, at_5 = 1 / 3, 1 / 2, 1 / 2, 1.0
    expected = [at_1, at_2 + at_3, 0, at_1 + at_2, at_3 + at_5, at_1]
    assert found == pytest.approx(np.array(expected))


def test_prefix_weight_does_not_depend_on_order(decision_rows: Maker) -> None:
    """Shuffled rows carry the same weights, and they sum to the number of ks reached."""
    rows = decision_rows(200)
    weight = prefix_weight(rows.events_seen, rows.session, (1, 2, 3, 1000))
    assert weight.sum() == pytest.approx(3)
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = prefix_weight(rows.events_seen[order], rows.session[order], (1, 2, 3, 1000))
    assert np.array_equal(shuffled, weight[order])


def test_no_rows_have_no_weight() -> None:
    """Without rows there are no weights and no error."""
    none = np.zeros(0, dtype=np.int64)
    assert prefix_weight(none, none, (1, 2)).shape == training_weight(none).shape == (0,)

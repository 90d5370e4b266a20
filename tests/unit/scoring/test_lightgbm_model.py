"""LightGBM through its C API."""

import weakref
from functools import cache

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.features.catalogue import FEATURE_NAMES
from micromoment.scoring.lightgbm_model import LightGbmModel
from tests.support.bundles import made_up_rows, tiny_model

WIDTH = len(FEATURE_NAMES)


@cache
def the_model() -> LightGbmModel:
    """Load the model on made-up visits, once."""
    return LightGbmModel(tiny_model(), WIDTH)


@pytest.fixture
def model() -> LightGbmModel:
    """A model on made-up visits."""
    return the_model()


@pytest.fixture(scope="module")
def booster() -> lgb.Booster:
    """The same model in LightGBM's own class."""
    return lgb.Booster(model_str=tiny_model().decode())


def test_one_row_many_rows_and_the_booster_agree(
    model: LightGbmModel, booster: lgb.Booster
) -> None:
    """On every made-up row, missing values included, all three give the same bits."""
    rows, _ = made_up_rows()
    assert np.isnan(rows).any()
    single = np.array([model.raw_score(row) for row in rows])
    many = model.raw_scores(rows)
    own = booster.predict(rows, raw_score=True, num_threads=1)
    assert isinstance(own, np.ndarray)
    assert single.tobytes() == many.tobytes() == own.tobytes()
    assert len(np.unique(single)) > 50


@given(
    st.lists(
        st.one_of(st.just(np.nan), st.floats(width=32, allow_nan=False, allow_infinity=False)),
        min_size=WIDTH,
        max_size=WIDTH,
    )
)
def test_any_values_agree(values: list[float]) -> None:
    """Extreme and missing values in any place give the same finite bits both ways."""
    model = the_model()
    row = np.array(values, np.float32)
    assert model.raw_score(row) == model.raw_scores(row[np.newaxis, :])[0]
    assert np.isfinite(model.raw_score(row))


def test_contributions_add_up_to_the_score(model: LightGbmModel) -> None:
    """The base value and the features' contributions sum to the raw score."""
    rows, _ = made_up_rows()
    for row in rows[::97]:
        parts = model.contributions(row)
        assert parts.shape == (WIDTH + 1,)
        assert parts.sum() == pytest.approx(model.raw_score(row))


def test_a_model_is_freed_when_nobody_predicts_with_it() -> None:
    """What predicts keeps it; closing it earlier frees it once."""
    held, closed = (LightGbmModel(tiny_model(), WIDTH) for _ in range(2))
    predict = held.predictor(np.zeros((1, WIDTH), np.float32), np.zeros(1))
    freed: list[bool] = []
    weakref.finalize(held, freed.append, True)
    del held
    predict(1)
    assert not freed
    del predict
    assert freed
    closed.close()
    closed.close()


def test_a_score_leaves_the_row_alone(model: LightGbmModel) -> None:
    """Neither the row nor an earlier answer changes when another row is scored."""
    rows, _ = made_up_rows()
    before = rows[:3].tobytes()
    first = model.raw_score(rows[0])
    model.raw_score(rows[1])
    model.contributions(rows[2])
    assert model.raw_score(rows[0]) == first
    assert rows[:3].tobytes() == before


def test_no_rows_no_scores(model: LightGbmModel) -> None:
    """An empty matrix gives an empty answer."""
    assert model.raw_scores(np.empty((0, WIDTH), np.float32)).shape == (0,)


def test_rows_of_another_layout_give_the_same(model: LightGbmModel) -> None:
    """Column-major and strided rows are read as what they are."""
    rows, _ = made_up_rows()
    expected = model.raw_scores(rows[:50])
    assert model.raw_scores(np.asfortranarray(rows[:50])).tobytes() == expected.tobytes()
    assert model.raw_scores(rows[:100:2]).tobytes() == model.raw_scores(rows[:100])[::2].tobytes()


def test_a_model_of_another_width_is_refused() -> None:
    """The message names both numbers of features."""
    with pytest.raises(ValueError, match=f"model has {WIDTH} features, expected 3"):
        LightGbmModel(tiny_model(), 3)


def test_rows_of_another_width_are_refused(model: LightGbmModel) -> None:
    """Rows with too few values are an error, not read beyond their end."""
    with pytest.raises(RuntimeError, match="LightGBM"):
        model.raw_scores(np.zeros((2, 3), np.float32))


def test_what_is_no_model_is_refused() -> None:
    """Text that LightGBM can't read raises an error with its own words."""
    with pytest.raises(RuntimeError, match="LightGBM"):
        LightGbmModel(b"not a model", WIDTH)

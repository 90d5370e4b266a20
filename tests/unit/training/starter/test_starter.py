"""The starter bundle, of two small simulated shops."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidSettingError
from micromoment.features.catalogue import CONVERSION_FEATURES, family_of
from micromoment.features.tables import neutral_tables, tables_to_arrays
from micromoment.scoring.bundle import LoadedBundle, load_bundle
from micromoment.scoring.calibration import PlattCalibrator
from micromoment.scoring.golden import EVENTS_FILE, check_golden
from micromoment.stores.bundles import find_bundle
from training.event_files import EventDays
from training.pipeline.recalibrate import calibration_of, known_until
from training.simulator import ShopConfig
from training.starter import StarterRequest, publish_starter
from training.starter.features import PORTABLE_FEATURES
from training.starter.model import SLOPE, StarterModel, conversion_parts
from training.starter.publish import NO_DATA

RATE = 0.013
SMALL = tuple(
    ShopConfig(seed=seed, days=2, sessions_per_day=400, target_conversion=0.1, burn_in_days=3)
    for seed in (5, 6)
)


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> StarterRequest:
    """What is asked for."""
    store = tmp_path_factory.mktemp("store")
    return StarterRequest("new", store, conversion_rate=RATE, shops=SMALL, workers=1)


@pytest.fixture(scope="module")
def bundle(request_: StarterRequest) -> LoadedBundle:
    """The bundle as a server loads it."""
    tag = publish_starter(request_).tag
    return load_bundle(find_bundle(request_.store or Path(), tag))


def test_it_is_marked_and_says_what_it_lacks(bundle: LoadedBundle) -> None:
    """Nobody takes it for a bundle of the shop's own data, and it has no learned table."""
    assert bundle.manifest.starter
    assert bundle.manifest.absent == {"churn": NO_DATA, "clusters": NO_DATA}
    assert "last_day" not in bundle.manifest.training
    assert bundle.manifest.conversion is not None
    assert not bundle.manifest.conversion.calibration_error
    neutral = tables_to_arrays(neutral_tables())
    for name, array in tables_to_arrays(bundle.tables).items():
        np.testing.assert_array_equal(array, neutral[name])


def test_a_server_accepts_it(bundle: LoadedBundle) -> None:
    """Its golden sessions are scored alike, and buyers are among them."""
    assert check_golden(bundle).answers > 0
    types = pq.read_table(bundle.path / EVENTS_FILE)["type"].to_pylist()
    assert "purchase" in types


def test_the_same_options_give_the_same_version(
    bundle: LoadedBundle, request_: StarterRequest, tmp_path: Path
) -> None:
    """Made again elsewhere it has the same tag."""
    assert publish_starter(replace(request_, store=tmp_path)).tag == bundle.tag


def test_the_level_is_what_the_shop_said() -> None:
    """The mean probability of first events is the rate asked for, whatever the raw scores are."""
    first = np.random.default_rng(1).normal(-3.0, 1.5, 5_000)
    parts = conversion_parts(_model(first), RATE)
    calibrator = parts.calibration.calibrator
    mean = np.mean(calibrator.probabilities(first.tolist(), [1] * len(first)))
    assert mean == pytest.approx(RATE, rel=1e-9)
    assert calibrator.first == calibrator.deep
    assert isinstance(calibrator.first, PlattCalibrator)
    assert calibrator.first.slope == pytest.approx(SLOPE)


def test_only_what_means_the_same_anywhere_is_learned() -> None:
    """No feature of learned tables, prices, the clock, or visits before this one."""
    assert set(PORTABLE_FEATURES) <= set(CONVERSION_FEATURES)
    assert len(set(PORTABLE_FEATURES)) == len(PORTABLE_FEATURES)
    assert {family_of(name) for name in PORTABLE_FEATURES} == {
        "timing",
        "items",
        "cart",
        "checkout",
        "pages",
    }
    assert not [name for name in PORTABLE_FEATURES if "price" in name or "value" in name]


def test_its_calibration_is_carried_on_from_the_shops_first_day(bundle: LoadedBundle) -> None:
    """It knows no day, so that recalibration begins with the first one there is."""
    days = EventDays({date(2024, 5, 2): Path("a"), date(2024, 5, 3): Path("b")})
    assert known_until(bundle, days) == date(2024, 5, 1)
    assert calibration_of(bundle).calibrator.first.slope == pytest.approx(SLOPE)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    """Before anything is simulated."""
    with pytest.raises(InvalidSettingError, match="conversion_rate"):
        publish_starter(StarterRequest(conversion_rate=rate))


def _model(first: np.ndarray) -> StarterModel:
    from tests.support.bundles import tiny_conversion
    from training.models.conversion import Growth

    parts = tiny_conversion()
    growth = Growth(1, 0.1, 1, (0.5,))
    return StarterModel(parts.text, growth, first, parts.baseline, first, len(first), 10)

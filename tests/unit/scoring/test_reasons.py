"""Why a score is what it is."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from micromoment.features.catalogue import FEATURE_NAMES, SESSION_FEATURES
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import Explanation
from micromoment.scoring.models import CalibratedModel
from micromoment.scoring.reasons import MAX_REASONS, explain
from tests.support.bundles import CALIBRATOR, made_up_rows

GROUPS = {spec.name: spec.group for spec in SESSION_FEATURES}
SAYS = {spec.name: spec.says for spec in SESSION_FEATURES}


@pytest.fixture(scope="module")
def model(tiny_bundle: LoadedBundle) -> CalibratedModel:
    """A small real model, whose calibrator has slope and intercept."""
    assert tiny_bundle.conversion is not None
    assert (CALIBRATOR.slope, CALIBRATOR.intercept) != (1.0, 0.0)
    return tiny_bundle.conversion.at(1)


@pytest.fixture(scope="module")
def explained(model: CalibratedModel) -> list[tuple[np.ndarray, Explanation]]:
    """Decision points of made-up visits with their explanations."""
    return [(row, explain(model, row, "EUR")) for row in made_up_rows()[0][:300]]


def total(explanation: Explanation) -> float:
    """Add an explanation up."""
    told = sum(reason.contribution for reason in explanation.reasons)
    return explanation.base + told + explanation.other


def test_base_reasons_and_other_are_the_log_odds(
    model: CalibratedModel, explained: list[tuple[np.ndarray, Explanation]]
) -> None:
    """They add up to the log-odds of the calibrated probability, whatever was grouped."""
    for row, explanation in explained:
        probability = model.probability(row)
        log_odds = log(probability / (1 - probability))
        assert total(explanation) == pytest.approx(log_odds, abs=1e-9)


def test_before_calibration_they_are_the_trees_log_odds(model: CalibratedModel) -> None:
    """Taking slope and intercept back leaves LightGBM's raw score."""
    for row in made_up_rows()[0][:50]:
        raw = (total(explain(model, row, "")) - CALIBRATOR.intercept) / CALIBRATOR.slope
        assert raw == pytest.approx(model.trees.raw_score(row[model.index]), abs=1e-9)


def test_a_reason_sums_its_group(
    model: CalibratedModel, explained: list[tuple[np.ndarray, Explanation]]
) -> None:
    """Its contribution is that of all features of its group, named once and largest first."""
    for row, explanation in explained:
        own = CALIBRATOR.slope * model.trees.contributions(row[model.index])[:-1]
        groups = [reason.group for reason in explanation.reasons]
        assert len(set(groups)) == len(groups) <= MAX_REASONS
        sizes = [abs(reason.contribution) for reason in explanation.reasons]
        assert sizes == sorted(sizes, reverse=True)
        for reason in explanation.reasons:
            parts = {
                name: value
                for name, value in zip(model.feature_names, own, strict=True)
                if GROUPS[name] == reason.group
            }
            assert reason.contribution == pytest.approx(sum(parts.values()), abs=1e-9)
            direction = np.sign(reason.contribution)
            strongest = max(parts, key=lambda name: direction * parts[name])
            assert reason.feature == strongest
            value = row[FEATURE_NAMES.index(reason.feature)]
            assert reason.value == (None if np.isnan(value) else value)


def test_a_sentence_tells_the_strongest_features(
    model: CalibratedModel, explained: list[tuple[np.ndarray, Explanation]]
) -> None:
    """It begins with the feature that is named; another that speaks for the same may follow."""
    with_second = 0
    for row, explanation in explained:
        own = dict(zip(model.feature_names, model.trees.contributions(row), strict=False))
        for reason in explanation.reasons:
            first, _, second = reason.sentence.partition("; ")
            agreeing = {
                _sentence(name, row)
                for name, value in own.items()
                if GROUPS[name] == reason.group and value * reason.contribution > 0
            }
            assert first == _sentence(reason.feature, row)
            if second:
                with_second += 1
                assert second[0].upper() + second[1:] in agreeing - {first}
    assert with_second > 0


def _sentence(feature: str, row: np.ndarray) -> str:
    return SAYS[feature](float(row[FEATURE_NAMES.index(feature)]), "EUR")


def test_what_hardly_contributes_is_no_reason(model: CalibratedModel) -> None:
    """A model that is calibrated to almost nothing gives no reason, and still adds up."""
    flat = CalibratedModel(
        model.trees, type(CALIBRATOR)(1e-4, -2.0), model.feature_names, model.index
    )
    explanation = explain(flat, made_up_rows()[0][0], "EUR")
    assert explanation.reasons == ()
    assert explanation.base + explanation.other == pytest.approx(-2.0, abs=0.01)

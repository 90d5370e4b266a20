"""The conversion model."""

from collections.abc import Callable
from dataclasses import replace

import lightgbm as lgb
import numpy as np
import pytest

from micromoment.errors import NotEnoughDataError
from micromoment.scoring.lightgbm_model import LightGbmModel
from training.evaluation.metrics import MetricSet, log_loss, measure
from training.models.baseline import BASELINE_FEATURES, fit_baseline
from training.models.conversion import (
    STOPPING_KS,
    ConversionParams,
    FittedConversion,
    fit_conversion,
    refit,
)
from training.models.rows import DecisionRows

Maker = Callable[..., DecisionRows]

# One thread: two would wait for each other where tests run side by side.
_PARAMS = ConversionParams(max_trees=60, patience=15, num_threads=1)


@pytest.fixture(scope="module")
def train(decision_rows: Maker) -> DecisionRows:
    """Rows to fit on."""
    return decision_rows(3000, 0)


@pytest.fixture(scope="module")
def valid(decision_rows: Maker) -> DecisionRows:
    """Rows to stop on."""
    return decision_rows(1000, 1)


@pytest.fixture(scope="module")
def fitted(train: DecisionRows, valid: DecisionRows) -> FittedConversion:
    """A model of these rows."""
    return fit_conversion(train, valid, _PARAMS)


def _raw_scores(fitted: FittedConversion, rows: DecisionRows) -> np.ndarray:
    model = LightGbmModel(fitted.text, len(fitted.feature_names))
    scores = model.raw_scores(rows.features)
    model.close()
    return scores


def _measure(fitted: FittedConversion, rows: DecisionRows) -> MetricSet:
    return measure(rows.label, 1 / (1 + np.exp(-_raw_scores(fitted, rows))))


def test_two_runs_give_the_same_bytes(
    fitted: FittedConversion, train: DecisionRows, valid: DecisionRows
) -> None:
    """The same rows and parameters give the same text, byte by byte."""
    assert fit_conversion(train, valid, _PARAMS) == fitted


def test_threads_change_no_tree(train: DecisionRows) -> None:
    """On another number of threads only the parameter's own line differs."""
    texts = [refit(train, 10, replace(_PARAMS, num_threads=threads)) for threads in (1, 2)]
    lines = zip(*(text.decode().splitlines() for text in texts), strict=True)
    assert [pair for pair in lines if pair[0] != pair[1]] == [
        ("[num_threads: 1]", "[num_threads: 2]")
    ]


def test_text_holds_no_path(fitted: FittedConversion) -> None:
    """The model's text names no file of the machine it was trained on."""
    assert b"/" not in fitted.text.split(b"parameters:")[1]


def test_seed_matters(fitted: FittedConversion, train: DecisionRows, valid: DecisionRows) -> None:
    """Another seed samples other features, and gives another model."""
    assert fit_conversion(train, valid, replace(_PARAMS, seed=8)).text != fitted.text


def test_model_beats_the_baseline(
    fitted: FittedConversion, train: DecisionRows, decision_rows: Maker
) -> None:
    """With a feature beyond the counts it ranks new visits early better than the baseline."""
    later = decision_rows(3000, 2)
    later = later.take(later.events_seen <= 5)
    baseline, _ = fit_baseline(train)
    theirs = measure(later.label, baseline.probabilities(later.columns(BASELINE_FEATURES)))
    ours = _measure(fitted, later)
    assert ours.pr_auc > 1.1 * theirs.pr_auc
    assert ours.log_loss < theirs.log_loss


def test_size_is_bounded(fitted: FittedConversion) -> None:
    """Trees and leaves stay within the limits, and the trees are those of the best iteration."""
    model = lgb.Booster(model_str=fitted.text.decode())
    assert model.num_trees() == fitted.best_iteration <= _PARAMS.max_trees
    leaves = [tree["num_leaves"] for tree in model.dump_model()["tree_info"]]
    assert max(leaves) <= _PARAMS.num_leaves
    assert tuple(model.feature_name()) == fitted.feature_names


def test_history_is_the_prefix_averaged_loss(fitted: FittedConversion, valid: DecisionRows) -> None:
    """The loss that stops training is the mean over k of the log loss at k, least at the best."""
    assert int(np.argmin(fitted.history)) + 1 == fitted.best_iteration
    probability = 1 / (1 + np.exp(-_raw_scores(fitted, valid)))
    losses = []
    for k in STOPPING_KS:
        reached = np.flatnonzero(valid.events_seen >= k)
        _, first = np.unique(valid.session[reached], return_index=True)  # rows come in order
        at_k = reached[first]
        losses.append(log_loss(valid.label[at_k], probability[at_k]))
    assert min(fitted.history) == pytest.approx(np.mean(losses), rel=1e-6)


def test_refit_learns_from_the_rows_given(
    fitted: FittedConversion, train: DecisionRows, valid: DecisionRows
) -> None:
    """Fitted again on more rows the model has as many trees and other leaves, twice the same."""
    again = refit(train, fitted.best_iteration, _PARAMS)
    model = lgb.Booster(model_str=again.decode())
    assert model.num_trees() == fitted.best_iteration
    assert again == refit(train, fitted.best_iteration, _PARAMS)
    assert refit(valid, fitted.best_iteration, _PARAMS) != again
    with pytest.raises(NotEnoughDataError, match="all rows: 0 of"):
        refit(train.take(~train.label), 10, _PARAMS)


def test_planted_leak_is_seen(decision_rows: Maker) -> None:
    """A feature that equals the label gives ROC-AUC 1 on new visits."""
    leaky = []
    for seed, n_visits in ((0, 1000), (1, 500), (2, 500)):
        rows = decision_rows(n_visits, seed)
        features = rows.features.copy()
        features[:, -1] = rows.label
        leaky.append(replace(rows, features=features))
    fitted = fit_conversion(leaky[0], leaky[1], _PARAMS)
    assert _measure(fitted, leaky[2]).roc_auc > 0.999


def test_shuffled_labels_give_chance(decision_rows: Maker) -> None:
    """Outcomes dealt out anew between visits can't be learnt."""
    rng = np.random.default_rng(4)

    def dealt(rows: DecisionRows) -> DecisionRows:
        _, first, visit = np.unique(rows.session, return_index=True, return_inverse=True)
        return replace(rows, label=rng.permutation(rows.label[first])[visit])

    train, valid, later = (
        dealt(decision_rows(n, seed)) for seed, n in enumerate((1000, 500, 6000))
    )
    fitted = fit_conversion(train, valid, _PARAMS)
    first = later.take(later.events_seen <= 2)
    assert _measure(fitted, first).roc_auc == pytest.approx(0.5, abs=0.04)


def test_too_little_data_is_refused(train: DecisionRows, valid: DecisionRows) -> None:
    """Rows without buyers, or of other features, are refused by name."""
    with pytest.raises(NotEnoughDataError, match="training rows: 0 of"):
        fit_conversion(train.take(~train.label), valid, _PARAMS)
    with pytest.raises(NotEnoughDataError, match="validation rows: 0 of 0"):
        fit_conversion(train, valid.take(valid.day < 0), _PARAMS)
    renamed = replace(valid, feature_names=(*valid.feature_names[:-1], "other"))
    with pytest.raises(ValueError, match="different features"):
        fit_conversion(train, renamed, _PARAMS)


def test_few_rows_still_give_a_model(decision_rows: Maker) -> None:
    """With fewer rows than a leaf needs, the model is a constant, and still loads."""
    few = decision_rows(30, 3)
    fitted = fit_conversion(few, decision_rows(30, 1), _PARAMS)
    assert np.isfinite(_raw_scores(fitted, few)).all()

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
    Growth,
    Split,
    find_growth,
    fit_conversion,
    later_scores,
)
from training.models.rows import DecisionRows

Maker = Callable[..., DecisionRows]

# One thread: two would wait for each other where tests run side by side.
_PARAMS = ConversionParams(max_trees=60, patience=15, num_threads=1)


@pytest.fixture(scope="module")
def splits(decision_rows: Maker) -> list[Split]:
    """Two splits: rows to fit on, and others to stop by."""
    return [
        (decision_rows(1500, 0), decision_rows(600, 1)),
        (decision_rows(3000, 2), decision_rows(600, 3)),
    ]


@pytest.fixture(scope="module")
def growth(splits: list[Split]) -> Growth:
    """How much to learn from rows like these."""
    return find_growth(splits, _PARAMS)


@pytest.fixture(scope="module")
def text(splits: list[Split], growth: Growth) -> bytes:
    """A model of the larger split's rows."""
    return fit_conversion(splits[1][0], growth, _PARAMS)


def _raw_scores(text: bytes, rows: DecisionRows) -> np.ndarray:
    model = LightGbmModel(text, len(rows.feature_names))
    scores = model.raw_scores(rows.features)
    model.close()
    return scores


def _measure(text: bytes, rows: DecisionRows) -> MetricSet:
    return measure(rows.label, 1 / (1 + np.exp(-_raw_scores(text, rows))))


def test_two_runs_give_the_same_bytes(text: bytes, splits: list[Split], growth: Growth) -> None:
    """The same rows and parameters give the same amount to learn and the same text."""
    assert find_growth(splits, _PARAMS) == growth
    assert fit_conversion(splits[1][0], growth, _PARAMS) == text


def test_threads_change_no_tree(splits: list[Split], growth: Growth) -> None:
    """On another number of threads only the parameter's own line differs."""
    few = replace(growth, trees=10)
    texts = [
        fit_conversion(splits[0][0], few, replace(_PARAMS, num_threads=threads))
        for threads in (1, 2)
    ]
    lines = zip(*(text.decode().splitlines() for text in texts), strict=True)
    assert [pair for pair in lines if pair[0] != pair[1]] == [
        ("[num_threads: 1]", "[num_threads: 2]")
    ]


def test_text_holds_no_path(text: bytes) -> None:
    """The model's text names no file of the machine it was trained on."""
    assert b"/" not in text.split(b"parameters:")[1]


def test_seed_matters(text: bytes, splits: list[Split], growth: Growth) -> None:
    """Another seed samples other rows and features, and gives another model."""
    assert fit_conversion(splits[1][0], growth, replace(_PARAMS, seed=8)) != text


def test_model_beats_the_baseline(text: bytes, splits: list[Split], decision_rows: Maker) -> None:
    """With a feature beyond the counts it ranks new visits early better than the baseline."""
    later = decision_rows(3000, 4)
    later = later.take(later.events_seen <= 5)
    baseline, _ = fit_baseline(splits[1][0])
    theirs = measure(later.label, baseline.probabilities(later.columns(BASELINE_FEATURES)))
    ours = _measure(text, later)
    assert ours.pr_auc > 1.1 * theirs.pr_auc
    assert ours.log_loss < theirs.log_loss


def test_size_is_bounded(text: bytes, splits: list[Split], growth: Growth) -> None:
    """Trees and leaves stay within the limits that serving sets."""
    model = lgb.Booster(model_str=text.decode())
    assert model.num_trees() == growth.trees <= _PARAMS.max_trees
    leaves = [tree["num_leaves"] for tree in model.dump_model()["tree_info"]]
    assert max(leaves) <= _PARAMS.num_leaves
    assert tuple(model.feature_name()) == splits[1][0].feature_names


def test_the_model_learns_as_much_as_was_found(growth: Growth) -> None:
    """Smaller steps, as many as may be served, add up to those of the search."""
    assert growth.trees * growth.learning_rate == pytest.approx(
        growth.stopped_at * _PARAMS.learning_rate
    )
    assert growth.trees == min(_PARAMS.max_trees, 5 * growth.stopped_at)


def test_history_is_the_prefix_averaged_loss(splits: list[Split]) -> None:
    """The loss that stops training is the mean over splits and k of the log loss at k."""
    found = find_growth(splits, replace(_PARAMS, max_trees=7))
    assert int(np.argmin(found.history)) + 1 == found.stopped_at
    losses = []
    for train, valid in splits:
        booster = _grown(train, 7)
        raw = np.asarray(booster.predict(valid.features, raw_score=True))
        probability = 1 / (1 + np.exp(-raw))
        for k in STOPPING_KS:
            reached = np.flatnonzero(valid.events_seen >= k)
            _, first = np.unique(valid.session[reached], return_index=True)  # rows come in order
            at_k = reached[first]
            losses.append(log_loss(valid.label[at_k], probability[at_k]))
    assert len(found.history) == 7
    assert found.history[6] == pytest.approx(np.mean(losses), rel=1e-6)


def _grown(rows: DecisionRows, trees: int) -> lgb.Booster:
    weight = rows.events_seen.astype(np.float64) ** -0.5
    data = lgb.Dataset(rows.features, rows.label.astype(np.float32), weight=weight)
    booster = lgb.Booster(_PARAMS.to_lightgbm(_PARAMS.learning_rate), data)
    for _ in range(trees):
        booster.update()
    return booster


def test_later_rows_are_scored_by_a_model_of_earlier_ones(
    splits: list[Split], growth: Growth
) -> None:
    """Each split's scores are those of a model that was fitted on its first side alone."""
    few = replace(growth, trees=12)
    scores = later_scores(splits, few, _PARAMS)
    for (train, later), raw in zip(splits, scores, strict=True):
        assert np.array_equal(raw, _raw_scores(fit_conversion(train, few, _PARAMS), later))


def test_planted_leak_is_seen(decision_rows: Maker) -> None:
    """A feature that equals the label gives ROC-AUC 1 on new visits."""
    leaky = []
    for seed, n_visits in ((0, 1000), (1, 500), (2, 500)):
        rows = decision_rows(n_visits, seed)
        features = rows.features.copy()
        features[:, -1] = rows.label
        leaky.append(replace(rows, features=features))
    growth = find_growth([(leaky[0], leaky[1])], _PARAMS)
    assert _measure(fit_conversion(leaky[0], growth, _PARAMS), leaky[2]).roc_auc > 0.999


def test_shuffled_labels_give_chance(decision_rows: Maker) -> None:
    """Outcomes dealt out anew between visits can't be learnt."""
    rng = np.random.default_rng(4)

    def dealt(rows: DecisionRows) -> DecisionRows:
        _, first, visit = np.unique(rows.session, return_index=True, return_inverse=True)
        return replace(rows, label=rng.permutation(rows.label[first])[visit])

    train, valid, later = (
        dealt(decision_rows(n, seed)) for seed, n in enumerate((1000, 500, 6000))
    )
    text = fit_conversion(train, find_growth([(train, valid)], _PARAMS), _PARAMS)
    first = later.take(later.events_seen <= 2)
    assert _measure(text, first).roc_auc == pytest.approx(0.5, abs=0.04)


def test_too_little_data_is_refused(splits: list[Split], growth: Growth) -> None:
    """Rows without buyers, or of other features, are refused by name."""
    train, valid = splits[0]
    with pytest.raises(NotEnoughDataError, match="training rows: 0 of"):
        find_growth([(train.take(~train.label), valid)], _PARAMS)
    with pytest.raises(NotEnoughDataError, match="validation rows: 0 of 0"):
        find_growth([(train, valid.take(valid.day < 0))], _PARAMS)
    with pytest.raises(NotEnoughDataError, match="rows to fit on: 0 of"):
        fit_conversion(train.take(~train.label), growth, _PARAMS)
    renamed = replace(valid, feature_names=(*valid.feature_names[:-1], "other"))
    with pytest.raises(ValueError, match="different features"):
        find_growth([(train, renamed)], _PARAMS)


def test_few_rows_still_give_a_model(decision_rows: Maker) -> None:
    """With fewer rows than a leaf needs, the model is a constant, and still loads."""
    few = decision_rows(30, 3)
    growth = find_growth([(few, decision_rows(30, 1))], _PARAMS)
    assert np.isfinite(_raw_scores(fit_conversion(few, growth, _PARAMS), few)).all()

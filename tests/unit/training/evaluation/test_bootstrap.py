"""Intervals by visitor."""

import time
from math import isnan

import numpy as np
import pytest

from training.evaluation.bootstrap import Interval, PairedIntervals, paired_intervals
from training.evaluation.metrics import measure


def _width(interval: Interval) -> float:
    return interval.high - interval.low


@pytest.fixture
def rng() -> np.random.Generator:
    """A fixed source of numbers."""
    return np.random.default_rng(3)


def test_clustering_widens_the_interval(rng: np.random.Generator) -> None:
    """When every visitor comes nine times alike, intervals are those of a ninth of the cases."""
    score, other = rng.random(400), rng.random(400)
    label = rng.random(400) < score * 0.3
    cases, visitor = np.repeat(np.arange(400), 9), np.repeat(np.arange(400), 9)

    def intervals(drawn: np.ndarray, visitor: np.ndarray) -> PairedIntervals:
        seeded = np.random.default_rng(0)
        return paired_intervals(label[drawn], score[drawn], other[drawn], visitor, 400, seeded)

    once = intervals(np.arange(400), np.arange(400))
    clustered = intervals(cases, visitor)
    ignoring = intervals(cases, np.arange(3600))
    assert clustered.model_pr_auc.low == pytest.approx(once.model_pr_auc.low)
    assert clustered.model_pr_auc.high == pytest.approx(once.model_pr_auc.high)
    assert _width(clustered.model_pr_auc) > 2 * _width(ignoring.model_pr_auc)
    assert _width(clustered.roc_auc_difference) > 2 * _width(ignoring.roc_auc_difference)


def test_intervals_hold_the_estimate(rng: np.random.Generator) -> None:
    """The figures of the data themselves lie inside their intervals."""
    model = rng.random(3000)
    label = rng.random(3000) < model**3
    baseline = np.clip(model + rng.normal(0, 0.4, 3000), 0, 1)
    found = paired_intervals(label, model, baseline, rng.integers(0, 2000, 3000), 300, rng)
    ours, theirs = measure(label, model), measure(label, baseline)
    assert found.model_pr_auc.low < ours.pr_auc < found.model_pr_auc.high
    assert found.baseline_pr_auc.low < theirs.pr_auc < found.baseline_pr_auc.high
    assert found.pr_auc_ratio.low < ours.pr_auc / theirs.pr_auc < found.pr_auc_ratio.high
    difference = ours.roc_auc - theirs.roc_auc
    assert found.roc_auc_difference.low < difference < found.roc_auc_difference.high
    assert found.pr_auc_ratio.low > 1
    assert found.replicates == 300
    for bounds, value in (
        (found.model_roc_auc, ours.roc_auc),
        (found.baseline_roc_auc, theirs.roc_auc),
        (found.model_log_loss, ours.log_loss),
        (found.baseline_log_loss, theirs.log_loss),
        (found.log_loss_difference, ours.log_loss - theirs.log_loss),
        (found.predicted_over_observed, ours.predicted_over_observed),
        (found.calibration_slope, ours.calibration_slope),
        (found.pr_auc_over_alone, ours.pr_auc / label.mean()),
    ):
        assert bounds.low < value < bounds.high


def test_pairing_removes_what_is_common(rng: np.random.Generator) -> None:
    """Two equal scores have a ratio of exactly 1 in every draw, however wide their own interval."""
    score = rng.random(300)
    label = rng.random(300) < score * 0.2
    found = paired_intervals(label, score, score, np.arange(300), 200, rng)
    assert found.pr_auc_ratio == Interval(1.0, 1.0)
    assert found.roc_auc_difference == Interval(0.0, 0.0)
    assert _width(found.model_pr_auc) > 0.05


def test_interval_covers_the_truth() -> None:
    """Over many samples, about 95 % of the intervals hold the true average precision."""

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        score = rng.random(n)
        return rng.random(n) < score**2, score

    truth = measure(*draw(np.random.default_rng(99), 400_000)).pr_auc
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        label, score = draw(rng, 400)
        found = paired_intervals(label, score, score, np.arange(400), 150, rng)
        hits += found.model_pr_auc.low <= truth <= found.model_pr_auc.high
    assert 51 <= hits <= 60


def test_draws_without_both_outcomes_are_not_counted(rng: np.random.Generator) -> None:
    """With a single buyer, about a third of the draws miss her and are left out."""
    label = np.arange(50) == 7
    score = np.linspace(0, 1, 50)
    found = paired_intervals(label, score, score, np.arange(50), 300, rng)
    assert 150 < found.replicates < 230
    assert not isnan(found.model_pr_auc.low)


@pytest.mark.parametrize(("n", "replicates"), [(0, 20), (30, 20), (30, 0)])
def test_nothing_to_draw_gives_nan(rng: np.random.Generator, n: int, replicates: int) -> None:
    """Without cases, without buyers or without draws the intervals are NaN."""
    label, score = np.zeros(n, dtype=bool), np.full(n, 0.1)
    found = paired_intervals(label, score, score, np.arange(n), replicates, rng)
    assert found.replicates == 0
    assert isnan(found.model_pr_auc.low)
    assert isnan(found.pr_auc_ratio.high)


def test_five_hundred_draws_take_seconds(rng: np.random.Generator) -> None:
    """500 draws of 30,000 decision points take less than ten seconds of processor time."""
    model = rng.random(30_000)
    label = rng.random(30_000) < model * 0.02
    begin = time.process_time()
    paired_intervals(label, model, model**2, rng.integers(0, 25_000, 30_000), 500, rng)
    assert time.process_time() - begin < 10

"""The metrics, beside scikit-learn's and beside cases worked out by hand."""

from itertools import pairwise, permutations
from math import isnan, log

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from training.evaluation.metrics import base_rates, log_loss, measure
from training.evaluation.ranking import rank
from training.evaluation.reliability import (
    calibration_error,
    calibration_slope,
    ece_floor,
    reliability_bins,
    slope_groups,
)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Case = tuple[BoolArray, FloatArray, FloatArray]


def _case(seed: int, n: int, distinct: int | None) -> Case:
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.5, 6, n)
    if distinct:
        probability = np.ceil(probability * distinct) / (distinct + 1)
    label = rng.random(n) < probability**0.8
    return label, probability, rng.integers(0, 4, n).astype(np.float64)


@pytest.fixture(params=[(0, 2000, None), (1, 2000, 7), (2, 200, 5), (3, 500, 40)])
def case(request: pytest.FixtureRequest) -> Case:
    """Outcomes, probabilities (some heavily tied) and weights (some 0)."""
    return _case(*request.param)


def test_metrics_equal_scikit_learn(case: Case) -> None:
    """ROC-AUC, average precision and log loss are scikit-learn's, unweighted and weighted."""
    label, probability, weight = case
    for own in (None, weight):
        found = measure(label, probability, own)
        assert found.roc_auc == pytest.approx(
            sk.roc_auc_score(label, probability, sample_weight=own), rel=1e-12
        )
        assert found.pr_auc == pytest.approx(
            sk.average_precision_score(label, probability, sample_weight=own), rel=1e-12
        )
        assert found.log_loss == pytest.approx(
            sk.log_loss(label, probability, sample_weight=own), rel=1e-12
        )


def test_slope_equals_scikit_learn(case: Case) -> None:
    """The calibration slope is that of an unpenalised logistic regression on the log-odds."""
    label, probability, weight = case
    raw = np.log(probability / (1 - probability))[:, np.newaxis]
    for own in (None, weight):
        regression = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
        regression.fit(raw, label, sample_weight=own)
        found = measure(label, probability, own).calibration_slope
        assert found == pytest.approx(regression.coef_[0, 0], rel=1e-6)


def test_integer_weight_is_repetition(case: Case) -> None:
    """A case of weight 3 counts as three cases, in every metric."""
    label, probability, weight = case
    times = weight.astype(int)
    repeated = measure(np.repeat(label, times), np.repeat(probability, times))
    weighted = measure(label, probability, weight)
    for name in ("roc_auc", "pr_auc", "log_loss", "lift_at_10", "ece", "calibration_slope"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name), rel=1e-9), name


def test_order_of_rows_changes_nothing(case: Case) -> None:
    """Tied scores have no order: shuffled rows give the same metrics."""
    label, probability, _ = case
    order = np.random.default_rng(5).permutation(len(label))
    first, second = measure(label, probability), measure(label[order], probability[order])
    assert first.lift_at_10 == second.lift_at_10
    assert first.pr_auc == pytest.approx(second.pr_auc, rel=1e-12)
    assert first.ece == pytest.approx(second.ece, rel=1e-9)


def test_lift_shares_the_buyers_of_a_tie() -> None:
    """A cut through tied scores is the mean over all orders of the tied cases."""
    label = np.array([False, True, False, True, False, False, True, False, False, False])
    score = np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    tally = rank(label, score).tally(np.ones(10))
    tied = [label[list(order)] for order in permutations([1, 2, 3, 4])]
    expected = np.mean([(label[0] + order[:2].sum()) / 3 / 0.3 for order in tied])
    assert tally.lift(0.3) == pytest.approx(expected)


def test_lift_of_a_perfect_and_of_a_constant_score() -> None:
    """With 5 % buyers the best lift at 10 % is 10; a constant score's is 1."""
    label = np.arange(200) < 10
    assert measure(label, label.astype(float)).lift_at_10 == pytest.approx(10)
    assert measure(label, np.full(200, 0.05)).lift_at_10 == pytest.approx(1)


def test_constant_score_is_chance() -> None:
    """A constant score has ROC-AUC one half and, as average precision, the base rate."""
    label = np.arange(200) < 10
    found = measure(label, np.full(200, 0.05))
    assert found.roc_auc == 0.5
    assert found.pr_auc == pytest.approx(0.05)
    assert found.ece == pytest.approx(0)
    assert found.predicted_over_observed == pytest.approx(1)


def test_bins_keep_ties_together() -> None:
    """Each probability falls into one bin, and bins come in order and hold everything."""
    label, probability, weight = _case(4, 3000, 20)
    bins = reliability_bins(label, probability, weight)
    assert len(bins) <= 15
    assert sum(b.weight for b in bins) == weight.sum()
    assert all(a.predicted < b.predicted for a, b in pairwise(bins))
    values = np.unique(probability[weight > 0])
    held = [weight[probability == value].sum() for value in values]
    sums = np.concatenate([[0], np.cumsum(held)])
    assert all(end in sums for end in np.cumsum([b.weight for b in bins]))


def test_bins_have_equal_mass_without_ties() -> None:
    """Distinct probabilities are cut into 15 bins that differ by one case at most."""
    label, probability, _ = _case(6, 1000, None)
    sizes = [b.weight for b in reliability_bins(label, probability, np.ones(1000))]
    assert len(sizes) == 15
    assert max(sizes) - min(sizes) <= 1


def test_calibration_error_by_hand() -> None:
    """Two tied groups, .2 predicted with half bought and .8 with all bought, are off by .25."""
    label = np.array([True, False, True, True])
    probability = np.array([0.2, 0.2, 0.8, 0.8])
    error = calibration_error(reliability_bins(label, probability, np.ones(4)))
    assert error == pytest.approx((0.3 + 0.2) / 2)


def test_floor_is_what_true_probabilities_read() -> None:
    """Scores that are right read a calibration error as simulated, others lie above it."""
    rng = np.random.default_rng(5)
    probability = rng.beta(1, 30, 8_000)
    floor = ece_floor(probability, np.random.default_rng(1))
    weight = np.ones(len(probability))
    errors = [
        calibration_error(
            reliability_bins(rng.random(len(probability)) < probability, probability, weight)
        )
        for _ in range(60)
    ]
    assert floor.mean == pytest.approx(np.mean(errors), rel=0.1)
    assert 0 < floor.mean < floor.high
    assert 0.8 < np.mean(np.array(errors) < floor.high) <= 1
    label = rng.random(len(probability)) < probability / 2
    assert calibration_error(reliability_bins(label, probability, weight)) > 2 * floor.high


def test_floor_falls_with_the_number_of_cases() -> None:
    """Four times the cases, half the floor; without cases there is none."""
    probability = np.random.default_rng(5).beta(1, 30, 32_000)
    few = ece_floor(probability[:8_000], np.random.default_rng(1)).mean
    many = ece_floor(probability, np.random.default_rng(1)).mean
    assert many == pytest.approx(few / 2, rel=0.1)
    assert isnan(ece_floor(probability[:0], np.random.default_rng(1)).mean)


def test_slope_of_groups_is_that_of_cases() -> None:
    """Grouped by log-odds it differs by less than a hundredth; undefined where that is."""
    rng = np.random.default_rng(6)
    probability = rng.beta(1, 20, 20_000)
    label = rng.random(20_000) < probability**1.2
    groups = slope_groups(probability)
    size = len(groups.log_odds)
    assert 50 < size <= 401
    count = np.bincount(groups.group, minlength=size).astype(np.float64)
    bought = np.bincount(groups.group[label], minlength=size).astype(np.float64)
    exact = calibration_slope(label, probability, np.ones(20_000))
    assert groups.slope(count, bought) == pytest.approx(exact, abs=0.01)
    assert isnan(groups.slope(count, np.zeros(size)))
    assert isnan(groups.slope(np.zeros(size), np.zeros(size)))


def test_slope_knows_too_extreme_scores() -> None:
    """Doubling the log-odds of true probabilities halves the slope."""
    rng = np.random.default_rng(9)
    raw = rng.normal(-2, 1.5, 100_000)
    label = rng.random(len(raw)) < 1 / (1 + np.exp(-raw))
    right = measure(label, 1 / (1 + np.exp(-raw)))
    extreme = measure(label, 1 / (1 + np.exp(-2 * raw)))
    assert right.calibration_slope == pytest.approx(1, abs=0.03)
    assert right.predicted_over_observed == pytest.approx(1, abs=0.03)
    assert extreme.calibration_slope == pytest.approx(right.calibration_slope / 2, rel=1e-3)


@pytest.mark.parametrize("bought", [False, True])
def test_one_class_defines_no_order(*, bought: bool) -> None:
    """With one outcome only, ROC-AUC and slope are NaN, and log loss is not."""
    found = measure(np.full(50, bought), np.linspace(0.1, 0.9, 50))
    assert isnan(found.roc_auc)
    assert isnan(found.calibration_slope)
    assert found.log_loss > 0
    assert isnan(found.pr_auc) is not bought
    assert isnan(found.lift_at_10) is not bought
    assert isnan(found.predicted_over_observed) is not bought


def test_no_cases_define_nothing() -> None:
    """Without cases every metric is NaN."""
    found = measure(np.zeros(0, dtype=bool), np.zeros(0))
    assert all(isnan(getattr(found, name)) for name in found.__dataclass_fields__)


def test_separating_and_constant_scores_have_no_slope() -> None:
    """Where no finite slope fits, it is NaN."""
    label = np.array([False] * 20 + [True] * 20)
    assert isnan(measure(label, np.linspace(0.01, 0.99, 40)).calibration_slope)
    assert isnan(measure(label, np.full(40, 0.3)).calibration_slope)


def test_certain_scores_have_a_finite_loss() -> None:
    """A probability of exactly 0 or 1 costs much, not infinitely much."""
    label = np.array([True, False])
    assert log_loss(label, np.array([1.0, 0.0])) == pytest.approx(0, abs=1e-15)
    assert log_loss(label, np.array([0.0, 1.0])) == pytest.approx(36.04, abs=0.01)


def test_base_rate_of_a_fixed_count() -> None:
    """At one number of events the base rate is the mean, and its log loss the entropy."""
    label = np.arange(100) < 20
    rates = base_rates(label, np.full(100, 5))
    assert rates == pytest.approx(np.full(100, 0.2))
    entropy = -(0.2 * log(0.2) + 0.8 * log(0.8))
    assert measure(label, rates).log_loss == pytest.approx(entropy)


def test_base_rate_follows_the_count() -> None:
    """Over several numbers of events, each has its own rate where it has cases enough."""
    seen = np.repeat([1, 2, 3], 100)
    label = np.tile(np.arange(100), 3) < np.repeat([1, 10, 40], 100)
    assert np.unique(base_rates(label, seen)).tolist() == [0.01, 0.1, 0.4]


def test_wrong_input_is_refused() -> None:
    """Shapes that differ and scores that are no probabilities are errors."""
    with pytest.raises(ValueError, match="differ"):
        measure(np.array([True, False]), np.array([0.5]))
    for wrong in (1.2, -0.1, np.nan):
        with pytest.raises(ValueError, match="outside"):
            measure(np.array([True]), np.array([wrong]))

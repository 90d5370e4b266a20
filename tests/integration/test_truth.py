"""Training recovers what can be known of a simulated shop's true probabilities.

How the figures are measured is said in `benchmarks/truth.py`. The long form's sizes leave their
noise well inside their margins. The quick form learns from a sixth of the visits: it shows that
training still recovers most of it, within margins that are wider for what so few visits lack and
for their noise.
"""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks.truth import Recovery, Study, judge, judged_points
from tests.support.forms import in_form
from training.evaluation.metrics import measure
from training.simulator import ShopConfig

STUDY = in_form(
    quick=Study(
        ShopConfig(days=10, sessions_per_day=800, target_conversion=0.1),
        test_days=4,
        lessons=30_000,
        rollouts=15,
        traffic=2,
    ),
    long=Study(ShopConfig(days=24, sessions_per_day=1_500, target_conversion=0.1)),
)
REPLICATES = in_form(quick=60, long=200)
# What the model must reach of the reference, and what the baseline must not.
MODEL_REACHES = in_form(quick=0.93, long=0.97)
SLOPE_MARGIN = in_form(quick=0.15, long=0.1)
LEVEL_MARGIN = in_form(quick=0.1, long=0.05)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The decision points of days after training, with scores, reference and outcome."""
    return judged_points(STUDY, tmp_path_factory.mktemp("truth"))


@pytest.fixture(scope="module")
def recovery(points: pd.DataFrame) -> Recovery:
    """What the model and its baseline reach on all of them."""
    return judge(points, replicates=REPLICATES)


def test_order_comes_near_what_can_be_known(recovery: Recovery) -> None:
    """PR-AUC lies within 3 % of that of the true probabilities given what visits show.

    Within 7 % in the quick form.
    """
    assert recovery.buyers > 2_000
    assert recovery.model > MODEL_REACHES


def test_probabilities_mean_what_they_say(recovery: Recovery) -> None:
    """The calibration slope lies in [0.9, 1.1], known to a tenth at least.

    In [0.85, 1.15] in the quick form, known to 0.15.
    """
    assert abs(recovery.slope - 1) <= SLOPE_MARGIN
    assert recovery.slope_interval.high - recovery.slope_interval.low < SLOPE_MARGIN


def test_the_baseline_falls_short(recovery: Recovery) -> None:
    """Counts alone don't do: the logistic baseline misses what the model finds."""
    assert recovery.baseline_interval.high < 0.93
    assert recovery.baseline_interval.high < recovery.model_interval.low


def test_the_reference_is_a_limit_and_the_truth_knows_more(points: pd.DataFrame) -> None:
    """Hidden state tells more than events; and no score comes nearer to the truth than it does."""
    known = points[points["truth"].notna()]
    label = known["label"].to_numpy(bool)
    truth, reference = (measure(label, known[name].to_numpy()) for name in ("truth", "reference"))
    assert truth.pr_auc > reference.pr_auc
    assert abs(truth.predicted_over_observed - 1) < LEVEL_MARGIN
    errors = {
        name: ((known[name] - known["truth"]) ** 2).mean()
        for name in ("reference", "conversion", "baseline")
    }
    assert errors["reference"] < errors["conversion"] < errors["baseline"]

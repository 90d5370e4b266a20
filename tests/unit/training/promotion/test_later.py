"""Judging a candidate beside what serves, on scores whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.support.scored import made_up_scores
from training.evaluation import evaluate
from training.promotion.checks import Check, failures
from training.promotion.later import judge_evaluation

SCORES = made_up_scores(1_500)


def judged(frame: pd.DataFrame, *, compared: bool = True, min_buyers: int = 20) -> list[Check]:
    """Judge `conversion` beside `baseline`."""
    found = evaluate(frame, ks=(1, 5, 10), bootstrap=60, seed=1)
    return judge_evaluation(found, "a week", min_buyers, compared=compared)


def failed(checks: list[Check]) -> set[str]:
    """Give what failed, in the words before the number of events."""
    return {one.name.split(" after ")[0].split(" at ")[0] for one in failures(checks)}


def shifted(frame: pd.DataFrame, by: float) -> pd.DataFrame:
    """Move the candidate's log-odds."""
    odds = frame["conversion"] / (1 - frame["conversion"]) * np.exp(by)
    return frame.assign(conversion=odds / (1 + odds))


def test_better_is_passed_and_worse_is_refused() -> None:
    """The score near the truth may replace the one far from it, and not the other way round."""
    assert failed(judged(SCORES)) == set()
    swapped = SCORES.assign(conversion=SCORES["baseline"], baseline=SCORES["conversion"])
    assert "PR-AUC" in failed(judged(swapped))


def test_equal_is_passed() -> None:
    """A bundle beside itself fails nothing, at any number of events."""
    checks = judged(SCORES.assign(baseline=SCORES["conversion"]))
    assert failures(checks) == []
    assert {one.figures["ratio"] for one in checks if "ratio" in one.figures} == {1.0}


def test_a_level_that_is_off_is_refused_unless_serving_is_as_far_off() -> None:
    """Odds three times as high fail by calibration alone; as a repair of worse ones they pass."""
    off = shifted(SCORES, np.log(3))
    assert failed(judged(off)) == {"calibration"}
    assert failed(judged(off, compared=False)) == {"calibration"}
    worse = shifted(SCORES, np.log(9))["conversion"]
    assert failed(judged(off.assign(baseline=worse))) == set()


def test_few_buyers_say_nothing() -> None:
    """Against a bundle that serves that is a refusal, by itself alone it is none."""
    checks = judged(SCORES, min_buyers=100_000)
    assert [one.name for one in failures(checks)] == ["later days"]
    alone = judged(SCORES, min_buyers=100_000, compared=False)
    assert failures(alone) == []
    assert not any(one.name.startswith("PR-AUC") for one in alone)

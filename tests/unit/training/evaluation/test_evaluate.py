"""The whole evaluation: rows, files, table and page."""

import json
from collections.abc import Callable
from math import isnan

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from training.evaluation import (
    Evaluation,
    at_events_seen,
    evaluate,
    evaluation_table,
)
from training.evaluation.metrics import measure

Maker = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def evaluation(scored_events: Maker) -> Evaluation:
    """A made-up shop's evaluation."""
    return evaluate(scored_events(1500), bootstrap=100)


def test_rows_are_the_counts_and_all_points(evaluation: Evaluation) -> None:
    """There is a row for each number of events, then one for all points."""
    assert [row.name for row in evaluation.rows] == ["1", "2", "3", "5", "10", "20", "40", "all"]
    sizes = [row.n for row in evaluation.rows]
    assert sizes[:-1] == sorted(sizes[:-1], reverse=True)
    assert sizes[-1] > sizes[0]


def test_row_is_measured_at_its_count(evaluation: Evaluation, scored_events: Maker) -> None:
    """A row's metrics are those of the points at its number of events."""
    points = at_events_seen(scored_events(1500), 5)
    row = next(row for row in evaluation.rows if row.k == 5)
    assert row.model.metrics == measure(points.label, points.conversion)
    assert row.baseline.metrics == measure(points.label, points.baseline)
    assert (row.n, row.buyers) == (len(points.label), points.label.sum())
    assert row.left_converted == points.left_converted > 0


def test_good_scores_beat_the_baseline(evaluation: Evaluation) -> None:
    """Scores near the truth beat the far ones, which beat counting, and are calibrated."""
    row = next(row for row in evaluation.rows if row.k == 3)
    assert row.intervals.pr_auc_ratio.low > 1
    assert row.model.metrics.log_loss < row.base_rate_metrics.log_loss
    assert 0.8 < row.model.metrics.predicted_over_observed < 1.25
    assert (
        row.baseline.metrics.pr_auc > row.base_rate_metrics.pr_auc == pytest.approx(row.base_rate)
    )


def test_intervals_do_not_depend_on_other_counts(scored_events: Maker) -> None:
    """A count's intervals are the same alone and among others, and the same in two runs."""
    frame = scored_events(300)
    alone = evaluate(frame, ks=(3,), bootstrap=50, seed=4).rows[0]
    among = evaluate(frame, ks=(1, 2, 3), bootstrap=50, seed=4).rows[2]
    assert alone == among
    other = evaluate(frame, ks=(3,), bootstrap=50, seed=5).rows[0]
    assert other.intervals != alone.intervals
    assert other.model == alone.model


def test_shuffled_outcomes_give_chance(scored_events: Maker) -> None:
    """Scores say nothing of outcomes that were dealt out anew between visits."""
    frame = scored_events(4000)
    first = frame.groupby("session_id", sort=False).head(1)
    dealt = first.assign(label=np.random.default_rng(0).permutation(first["label"]))
    row = evaluate(dealt, ks=(1,), bootstrap=0).rows[0]
    assert row.model.metrics.roc_auc == pytest.approx(0.5, abs=0.03)
    assert row.model.metrics.pr_auc == pytest.approx(row.base_rate, rel=0.2)


def test_planted_leak_is_visible(scored_events: Maker) -> None:
    """A score that knows the outcome reads ROC-AUC 1."""
    frame = scored_events(500)
    frame["conversion"] = frame["label"].astype(float)
    assert evaluate(frame, ks=(1,), bootstrap=0).rows[0].model.metrics.roc_auc == 1.0


def test_json_is_strict(evaluation: Evaluation) -> None:
    """Its plain values are valid JSON without NaN and hold every row."""
    text = json.dumps(evaluation.to_dict(), allow_nan=False)
    plain = json.loads(text)
    assert plain["rows"][0]["model"]["metrics"]["pr_auc"] == (
        evaluation.rows[0].model.metrics.pr_auc
    )
    assert len(plain["gain_shares"]) == len(plain["rows"][0]["model"]["captured"])


def test_undefined_figures_are_null(scored_events: Maker) -> None:
    """A count that no visit reaches is a row of nulls, in the JSON and in the object NaN."""
    found = evaluate(scored_events(50), ks=(500,), bootstrap=10)
    row = found.rows[0]
    assert row.n == 0
    assert isnan(row.model.metrics.roc_auc)
    assert found.to_dict()["rows"][0]["model"]["metrics"]["roc_auc"] is None
    assert found.to_dict()["rows"][0]["intervals"]["model_pr_auc"] == {"low": None, "high": None}


def test_table_prints_every_row(evaluation: Evaluation) -> None:
    """On 80 columns the tables give each count's model and baseline, nothing cut short."""
    console = Console(width=80)
    with console.capture() as capture:
        console.print(evaluation_table(evaluation))
    text = capture.get()
    for row in evaluation.rows:
        assert f"{row.model.metrics.roc_auc:.3f} / {row.baseline.metrics.roc_auc:.3f}" in text
        assert f"{row.n:,}" in text
        assert f"{row.intervals.pr_auc_ratio.high:.2f}]" in text
    assert "\u2026" not in text  # the sign of a cut


@pytest.mark.parametrize("n_visitors", [0, 3])
def test_nothing_bought_still_reports(scored_events: Maker, n_visitors: int) -> None:
    """Without rows or without buyers, the table appears all the same."""
    frame = scored_events(3)
    frame = frame[frame["visitor_id"].isin([f"v{i}" for i in range(n_visitors)])]
    frame = frame[~frame["converted"]].assign(label=False)
    found = evaluate(frame, bootstrap=20)
    console = Console(width=80)
    with console.capture() as capture:
        console.print(evaluation_table(found))
    assert "-" in capture.get()

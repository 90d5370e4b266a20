"""The way from a real shop's raw export to an evaluation.

The quick form trains on three days, the fewest that training takes, the long form on five.
"""

from __future__ import annotations

import json
import resource
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Home
from tests.support.forms import in_form

DAYS = in_form(quick=6, long=8)  # of the export, the last ones
TRAINED_UNTIL = "2021-01-07"
EVALUATED_FROM = "2021-01-08"
MEMORY_KIB = 6 * 1024 * 1024
KS = (1, 5, 10, 20)
METRICS = ("pr_auc", "roc_auc", "log_loss", "ece", "lift_at_10")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Ran:
    """What the run wrote: the import's report and the evaluation's rows by events seen."""

    report: dict[str, Any]
    rows: dict[int | None, dict[str, Any]]


@pytest.fixture(scope="module")
def ran(ga4_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Import, train and evaluate the last days."""
    home = Home(tmp_path_factory.mktemp("real"))
    exports = home.folder / "exports"
    exports.mkdir()
    for path in sorted(ga4_dir.glob("events_*.parquet"))[-DAYS:]:
        (exports / path.name).symlink_to(path)
    home.succeed("import", "ga4", "exports/events_*.parquet", "--out", "events")
    home.succeed("train", "--events", "events", "--until", TRAINED_UNTIL, "--name", "real")
    which = ("--bundle", "real:latest", "--events", "events", "--from", EVALUATED_FROM)
    home.succeed("evaluate", *which, "--out", "report", "--bootstrap", "50")
    evaluation = json.loads((home.folder / "report/evaluation.json").read_text(encoding="utf-8"))
    report = json.loads((home.folder / "events/report.json").read_text(encoding="utf-8"))
    return Ran(report, {row["k"]: row for row in evaluation["rows"]})


def test_every_row_is_accounted_for(ran: Ran) -> None:
    """What was read is what was kept, merged and dropped."""
    report = ran.report
    assert report["rows_read"] > 200_000
    lost = sum(report["merged"].values()) + sum(report["dropped"].values())
    assert report["rows_read"] == report["rows_kept"] + lost


@pytest.mark.parametrize("k", KS)
def test_the_model_is_better_than_chance_on_later_days(ran: Ran, k: int) -> None:
    """Its PR-AUC, on days that it has not seen, lies above the base rate."""
    row = ran.rows[k]
    assert row["buyers"] >= 20
    assert row["model"]["metrics"]["pr_auc"] > row["base_rate"]


@pytest.mark.parametrize("k", KS)
def test_the_baseline_is_measured_too(ran: Ran, k: int) -> None:
    """Each metric of the model has its counterpart."""
    for scores in ("model", "baseline"):
        metrics = ran.rows[k][scores]["metrics"]
        assert all(isfinite(metrics[name]) for name in METRICS)


def test_memory_stays_below_six_gigabytes(ran: Ran) -> None:
    """The largest process that was ever started here, theirs included, took less."""
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert 0 < largest < MEMORY_KIB

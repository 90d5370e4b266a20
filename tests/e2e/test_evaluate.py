"""`micromoment evaluate` on a day that the bundle has not seen."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import LAST_DAY, TrainedShop

KS = (1, 2, 3, 5, 10, 20, 40)
METRICS = {"roc_auc", "pr_auc", "log_loss", "ece", "lift_at_10"}


@dataclass(frozen=True)
class Evaluated:
    """What the command printed and wrote."""

    done: subprocess.CompletedProcess[str]
    folder: Path

    @property
    def rows(self) -> dict[int | None, dict[str, Any]]:
        """The rows of `evaluation.json` by number of events seen; None is all points."""
        values = json.loads((self.folder / "evaluation.json").read_text(encoding="utf-8"))
        return {row["k"]: row for row in values["rows"]}


@pytest.fixture(scope="module")
def evaluated(shop: TrainedShop, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """The last day, evaluated into a folder."""
    folder = tmp_path_factory.mktemp("evaluation") / "report"
    which = ("--bundle", "shop:latest", "--events", shop.events, "--from", LAST_DAY.isoformat())
    done = shop.home.succeed("evaluate", *which, "--out", folder, "--bootstrap", "50")
    return Evaluated(done, folder)


def test_the_tables_show_each_number_of_events(evaluated: Evaluated) -> None:
    """Stdout has the quality at 1, 2, 3, 5, 10, 20 and 40 events, beside the baseline's."""
    lines = [line.split() for line in evaluated.done.stdout.splitlines()]
    firsts = [line[0] for line in lines if line]
    assert all(firsts.count(str(k)) == 3 for k in KS)
    assert firsts.count("all") == 3
    for word in ("base rate", "ROC-AUC", "PR-AUC", "log loss", "ECE", "lift at 10 %", "baseline"):
        assert word in evaluated.done.stdout


def test_json_and_page_are_written(evaluated: Evaluated) -> None:
    """Each row has model and baseline by the same metrics, with intervals; the page is named."""
    assert set(evaluated.rows) == {*KS, None}
    for row in evaluated.rows.values():
        for scores in (row["model"], row["baseline"]):
            assert set(scores["metrics"]) >= METRICS
    first = evaluated.rows[1]
    assert first["n"] > 300
    assert first["buyers"] >= 10
    low, high = (first["intervals"]["model_pr_auc"][end] for end in ("low", "high"))
    assert low <= first["model"]["metrics"]["pr_auc"] <= high
    page = evaluated.folder / "card.html"
    assert str(page) in evaluated.done.stderr
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_model_beats_chance_on_an_unseen_day(evaluated: Evaluated) -> None:
    """Its PR-AUC lies above the base rate wherever there are buyers enough to tell."""
    for k in (1, 5, 10):
        row = evaluated.rows[k]
        assert row["buyers"] >= 10
        assert row["model"]["metrics"]["pr_auc"] > 1.2 * row["base_rate"]

"""`micromoment readiness` and `train --params`: a shop that has little data, or tunes."""

from __future__ import annotations

from pathlib import Path

from micromoment.scoring.bundle import load_bundle
from tests.e2e.conftest import TRAINED_UNTIL, TrainedShop
from training.readiness import ReadinessRequest, check_readiness


def test_readiness_says_what_training_found(shop: TrainedShop) -> None:
    """A model that training left out is one that there is not enough for, and no other is."""
    absent = load_bundle(shop.bundle).manifest.absent
    found = check_readiness(ReadinessRequest(shop.events, TRAINED_UNTIL))
    assert found.enough("conversion") == ("conversion" not in absent)
    assert found.enough("clusters") or "clusters" in absent
    churn = found.enough("churn of purchases") or found.enough("churn of activity")
    assert churn == ("churn" not in absent)


def test_readiness_prints_a_table(shop: TrainedShop) -> None:
    """One line for each condition, on standard output."""
    until = ("--until", TRAINED_UNTIL.isoformat())
    done = shop.home.succeed("readiness", "--events", shop.events, *until)
    assert "churn of activity" in done.stdout
    assert "enough" in done.stdout
    assert "micromoment train" in done.stderr


def test_wrong_parameters_stop_training_at_once(shop: TrainedShop, tmp_path: Path) -> None:
    """The message names file and parameter; nothing is trained."""
    file = tmp_path / "params.json"
    file.write_text('{"params": {"num_leaves": 1000}}')
    done = shop.home.micromoment("train", "--events", shop.events, "--params", file)
    assert done.returncode != 0
    assert "params.num_leaves" in done.stderr
    assert "Traceback" not in done.stderr

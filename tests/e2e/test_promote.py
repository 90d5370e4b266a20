"""`micromoment promote`, `rollback` and `promotions` on a day that neither bundle has seen."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from micromoment.stores.bundles import find_bundle
from tests.e2e.conftest import LAST_DAY, TrainedShop
from tests.support.commands import Home
from tests.support.planted import with_level, with_shuffled_features
from training.promotion.checks import Check, Verdict
from training.promotion.gate import GateRequest, run_gate
from training.promotion.later import LaterDays

MIN_BUYERS = 8


@pytest.fixture
def home(shop: TrainedShop, tmp_path: Path) -> Home:
    """A home of its own, with a copy of the shop's store."""
    shutil.copytree(shop.home.store, tmp_path / "bentoml" / "models")
    return Home(tmp_path)


def later(shop: TrainedShop) -> LaterDays:
    """The shop's last day, on which few buy."""
    return LaterDays(shop.events, min_buyers=MIN_BUYERS, bootstrap=50, workers=1)


def verdicts(checks: list[Check]) -> dict[str, Verdict]:
    """Give each check's verdict by its name."""
    return {one.name: one.verdict for one in checks}


def test_a_worse_order_is_refused_and_force_is_written_down(shop: TrainedShop, home: Home) -> None:
    """Trees that get other features' values fail by PR-AUC; forced, they serve until gone back."""
    first = home.succeed("promote", "--bundle", "shop:latest", "--by", "ann").stdout
    assert shop.tag in first
    worse = with_shuffled_features(find_bundle(home.store, shop.tag), home.store)
    judged = ("--events", shop.events, "--min-buyers", str(MIN_BUYERS), "--bootstrap", "50")
    refused = home.micromoment("promote", "--bundle", worse.tag, *judged)
    assert refused.returncode == 1
    failed = [line for line in refused.stdout.splitlines() if "failed" in line]
    assert any(line.strip().startswith("PR-AUC after 10 events") for line in failed)
    assert str(LAST_DAY) in refused.stdout
    assert find_bundle(home.store, "shop:serving").name == shop.tag.partition(":")[2]

    why = ("--by", "bob", "--reason", "a fire drill", "--force")
    forced = home.succeed("promote", "--bundle", worse.tag, *why)
    assert "promoted by force" in forced.stderr
    assert find_bundle(home.store, "shop:serving").name == worse.version
    assert home.succeed("rollback", "--name", "shop", "--by", "ann").stdout.strip() == shop.tag
    shown = home.succeed("promotions").stdout
    for word in ("bob", "a fire drill", "yes", "rollback", "later days"):
        assert word in shown
    assert find_bundle(home.store, "shop:serving").name == shop.tag.partition(":")[2]


def test_a_broken_level_is_refused(shop: TrainedShop, home: Home) -> None:
    """Odds that are seven times as high fail by calibration and by nothing of the order."""
    broken = with_level(find_bundle(home.store, shop.tag), home.store, by=2.0)
    folder = find_bundle(home.store, broken.tag)
    checks = run_gate(GateRequest(folder, shop.bundle, later(shop)))
    failed = [name for name, verdict in verdicts(list(checks)).items() if verdict == "failed"]
    assert "calibration after 1 event" in failed
    assert "calibration step" in failed
    assert not any(name.startswith("PR-AUC after") for name in failed)

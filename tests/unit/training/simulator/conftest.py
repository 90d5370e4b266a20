from datetime import date
from pathlib import Path

import pytest

from training.simulator import (
    DecisionPoints,
    ShopConfig,
    SimulatedShop,
    SimulationReport,
    simulate,
    write_ga4_export,
)


@pytest.fixture(scope="session")
def shop() -> SimulatedShop:
    """A shop of 14 days and some 8,400 sessions."""
    return simulate(ShopConfig(sessions_per_day=600))


@pytest.fixture(scope="session")
def points(shop: SimulatedShop) -> DecisionPoints:
    """All decision points of that shop."""
    return shop.decision_points()


@pytest.fixture(scope="session")
def small_config() -> ShopConfig:
    """A shop of three days that start at a weekend."""
    return ShopConfig(seed=11, start=date(2024, 3, 9), days=3, sessions_per_day=250)


@pytest.fixture(scope="session")
def export(
    small_config: ShopConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, SimulationReport]:
    """The small shop's export with a third of its truth, and what was reported of it."""
    folder = tmp_path_factory.mktemp("export")
    return folder, write_ga4_export(small_config, folder, truth_fraction=0.3, n_rollouts=50)

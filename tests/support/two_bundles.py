"""A store with two small bundles: the first is `serving`, the second the latest."""

from __future__ import annotations

from pathlib import Path

from tests.support.tiny_bundle import make_tiny_store
from training.publishing.store import point_to

SETTINGS = {"max_sessions": "1000", "drain_lag": "0"}
DAYS = {"first_day": "2024-04-01", "last_day": "2024-04-30"}
# Of a server whose golden answers were made on another machine.
TOLERANCE = 1e-9


def make_two_bundles(folder: Path) -> None:
    """Make the store."""
    first = make_tiny_store(folder, training=DAYS)
    make_tiny_store(folder, seed=2, training=DAYS)
    point_to(folder, "shop", "serving", first.version)


def tags(store: Path) -> tuple[str, str]:
    """Name the first and the second bundle."""
    first, second = ((store / "shop" / one).read_text() for one in ("serving", "latest"))
    return f"shop:{first}", f"shop:{second}"

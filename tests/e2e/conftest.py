"""A simulated shop, imported and trained on once through the command line, for all these tests."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from tests.support.commands import Home

DAYS = 6
SESSIONS_PER_DAY = 700
TRAINED_UNTIL = date(2024, 3, 8)
LAST_DAY = date(2024, 3, 9)


@dataclass(frozen=True)
class TrainedShop:
    """A shop's files and what training on all days but the last printed.

    `home.folder` holds `exports`, `data/events` and, trained, `data/features`. Tests leave all of
    it as it is.
    """

    home: Home
    stdout: str
    stderr: str

    @property
    def tag(self) -> str:
        """The bundle's tag."""
        return self.stdout.strip()

    @property
    def events(self) -> Path:
        """Folder of events, one file per day."""
        return self.home.folder / "data" / "events"

    @property
    def features(self) -> Path:
        """The feature workspace."""
        return self.home.folder / "data" / "features"

    @property
    def bundle(self) -> Path:
        """The bundle's folder."""
        name, version = self.tag.split(":")
        return self.home.store / name / version


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> TrainedShop:
    """The trained shop; the first worker that needs it makes it, the others wait."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shop"
    folder.mkdir(exist_ok=True)
    printed = folder / "train.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            printed.write_text(json.dumps(_train(Home(folder))))
        stdout, stderr = json.loads(printed.read_text())
    return TrainedShop(Home(folder), stdout, stderr)


def _train(home: Home) -> tuple[str, str]:
    size = ("--days", str(DAYS), "--sessions-per-day", str(SESSIONS_PER_DAY))
    home.succeed("simulate", "--out", "exports", *size)
    home.succeed("import", "ga4", "exports/events_*.parquet", "--out", "data/events")
    until = ("--until", TRAINED_UNTIL.isoformat())
    done = home.succeed("train", "--events", "data/events", *until)
    return done.stdout, done.stderr

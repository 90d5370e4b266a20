"""`micromoment parity`: a running server, restarted in between, against the offline scores."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.e2e.conftest import LAST_DAY, TrainedShop


def check(shop: TrainedShop, *options: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Compare visits of the last day; gives the run and its table, spaces squeezed."""
    which = ("--bundle", shop.tag, "--events", shop.events)
    done = shop.home.micromoment("parity", *which, *options)
    return done, re.sub(r"[ │]+", " ", done.stdout)


def counts(table: str) -> dict[str, int]:
    """Read the table's numbers by name."""
    found = re.findall(r"^ ([a-z ]+) ([\d,]+) $", table, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in found}


def test_offline_and_online_are_one(shop: TrainedShop) -> None:
    """Over a thousand answers are equal to the last bit, though the server was restarted."""
    done, table = check(shop)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(LAST_DAY) in table
    found = counts(table)
    assert found["mismatches"] == 0
    assert found["answers"] >= 1_000
    assert found["events"] > found["answers"]
    assert found["restarts"] >= 1
    assert found["state lost"] == found["degraded"] == 0


@pytest.mark.slow
def test_one_changed_bit_is_found(shop: TrainedShop) -> None:
    """With `--sabotage` the check fails, and names the feature and its two values."""
    done, table = check(shop, "--limit", "500", "--sabotage")
    assert done.returncode == 1, done.stdout + done.stderr
    assert counts(table)["mismatches"] == 1
    ((offline, online),) = re.findall(r"feature n_events: (\S+) != (\S+)", table)
    assert float(offline) == pytest.approx(float(online), rel=1e-6)
    assert offline != online

"""Offline and online agree to the last bit, and a difference of one bit is found."""

from __future__ import annotations

import re

from tests.e2e.conftest import TrainedShop


def figures(table: str) -> dict[str, int]:
    """Read the numbers of the printed report."""
    rows = re.findall(r"│ ([a-z ]+?) +│ ([\d,]+) +│", table)
    return {name: int(number.replace(",", "")) for name, number in rows}


def test_every_answer_has_the_same_bits(shop: TrainedShop) -> None:
    """A day from Parquet and over gRPC, in random requests, over restarts: nothing differs."""
    done = shop.home.micromoment("parity", "--bundle", shop.tag, "--events", shop.events)
    report = figures(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert report["mismatches"] == 0
    assert report["answers"] >= 1_000
    assert report["events"] > report["answers"]
    assert report["restarts"] >= 1
    assert report["state lost"] == 0


def test_one_changed_bit_is_found(shop: TrainedShop) -> None:
    """With one feature changed on one path the check fails and names the feature."""
    arguments = ("--bundle", shop.tag, "--events", shop.events, "--limit", "500", "--sabotage")
    done = shop.home.micromoment("parity", *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert figures(done.stdout)["mismatches"] == 1
    assert "feature n_events" in done.stdout


def test_a_moved_centroid_is_found(shop: TrainedShop) -> None:
    """With one cluster elsewhere on one path the check fails, and says so of the cluster."""
    arguments = ("--bundle", shop.tag, "--events", shop.events, "--limit", "500")
    done = shop.home.micromoment("parity", *arguments, "--sabotage-centroid")
    assert done.returncode == 1, done.stdout + done.stderr
    assert figures(done.stdout)["mismatches"] >= 1
    assert "cluster: '" in done.stdout

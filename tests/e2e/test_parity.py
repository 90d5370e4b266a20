"""Offline and online agree to the last bit, and a difference of one bit is found."""

from __future__ import annotations

import re
from pathlib import Path

from redis import Redis

from tests.e2e.conftest import TrainedShop
from tests.support.commands import BIN
from tests.support.feature_stores import a_redis

ROOT = Path(__file__).parents[2]


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


def test_every_answer_has_the_same_bits_on_redis(shop: TrainedShop, tmp_path: Path) -> None:
    """The same with sessions and users' features on one Redis; every key of it expires."""
    config = ROOT / "feature_repo/feature_store.redis.yaml"
    arguments = ("--bundle", shop.tag, "--events", shop.events, "--limit", "1500")
    with a_redis(tmp_path) as (_, port), Redis(port=port) as redis:
        stores = ("--session-store", f"redis://127.0.0.1:{port}", "--feature-config", config)
        done = shop.home.run(
            *(BIN / "micromoment", "parity", *arguments, *stores),
            extra={"FEAST_REDIS": f"127.0.0.1:{port}"},
        )
        keys = list(redis.scan_iter(count=10_000))
        lives = [int(str(redis.ttl(key))) for key in keys]
    report = figures(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (report["mismatches"], report["state lost"]) == (0, 0)
    assert report["answers"] >= 100
    assert report["restarts"] >= 1
    sessions = [key for key in keys if key.startswith(b"micromoment-parity-")]
    assert len(sessions) == report["sessions"]
    assert len(keys) > len(sessions)
    assert all(0 < life <= 86_400 for life in lives)

"""`micromoment parity`: a running server, restarted in between, against the offline scores."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from redis import Redis

from tests.e2e.conftest import LAST_DAY, TRAINED_UNTIL, TrainedShop
from tests.support.commands import BIN
from tests.support.feature_stores import a_redis
from tests.support.forms import in_form
from tests.support.keyed import ROTATED, encoder
from training.parity import ParityRequest, Via, check_parity
from training.rekeying import RekeyRequest, rekey

ROOT = Path(__file__).parents[2]


def check(
    shop: TrainedShop, *options: str, extra: Mapping[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Compare visits of the last day; gives the run and its table, spaces squeezed."""
    which = ("--bundle", shop.tag, "--events", shop.events)
    done = shop.home.run(BIN / "micromoment", "parity", *which, *options, extra=extra)
    return done, squeezed(done.stdout)


def squeezed(table: str) -> str:
    """Take the lines between columns and all but one space out of a table."""
    return re.sub(r"[ │]+", " ", table)


def counts(table: str) -> dict[str, int]:
    """Read the table's numbers by name."""
    found = re.findall(r"^ ([a-z ]+) ([\d,]+) $", table, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in found}


def test_offline_and_online_are_one(shop: TrainedShop) -> None:
    """Over a thousand answers are equal to the last bit, though the server was restarted.

    The long form compares the whole day.
    """
    done, table = check(shop, "--limit", in_form(quick="3000", long="30000"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(LAST_DAY) in table
    found = counts(table)
    assert found["mismatches"] == 0
    assert found["answers"] >= 1_000
    assert found["events"] > found["answers"]
    assert found["restarts"] >= 1
    assert found["state lost"] == found["degraded"] == 0


@pytest.fixture(scope="module")
def two_days(shop: TrainedShop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's last two days: users with a little behind them, and sooner cut than six days."""
    folder = tmp_path_factory.mktemp("two-days")
    for day in (TRAINED_UNTIL, LAST_DAY):
        (folder / f"{day}.parquet").symlink_to(shop.events / f"{day}.parquet")
    return folder


@pytest.mark.slow
def test_offline_and_online_are_one_in_batches_and_under_keys(
    shop: TrainedShop, two_days: Path, tmp_path: Path
) -> None:
    """With keys in the environment both sides encode plain ids alike."""
    keys = tmp_path / "keys"
    keys.write_text(ROTATED)
    which = ("--bundle", shop.tag, "--events", two_days, "--limit", "600", "--via", "batch")
    with_keys = {"MICROMOMENT_ID_KEY_FILE": str(keys)}
    done = shop.home.run(BIN / "micromoment", "parity", *which, extra=with_keys)
    assert done.returncode == 0, done.stdout + done.stderr
    found = counts(squeezed(done.stdout))
    assert (found["mismatches"], found["state lost"], found["degraded"]) == (0, 0, 0)
    assert found["answers"] >= 100
    assert found["restarts"] >= 1


@pytest.mark.slow
def test_offline_and_online_are_one_over_http_and_of_pseudonyms(
    shop: TrainedShop, two_days: Path, tmp_path: Path
) -> None:
    """JSON loses no bit of a score or a feature; both sides take pseudonyms as they are."""
    events = Path(shutil.copytree(two_days, tmp_path / "events"))
    rekey(RekeyRequest(encoder(ROTATED), events=(events,)))
    keys = " ".join(ROTATED.split())
    report = check_parity(ParityRequest(shop.bundle, events, limit=600, via=Via.HTTP, id_keys=keys))
    assert (report.mismatches, report.state_lost, report.degraded) == ((), 0, 0)
    assert report.answers >= 100
    assert report.restarts >= 1


@pytest.mark.slow
def test_offline_and_online_are_one_by_streams_on_redis(shop: TrainedShop, tmp_path: Path) -> None:
    """On a stream, sessions and users' features on one Redis; every key of it expires."""
    config = ROOT / "feature_repo/feature_store.redis.yaml"
    with a_redis(tmp_path) as (_, port), Redis(port=port) as redis:
        stores = ("--session-store", f"redis://127.0.0.1:{port}", "--feature-config", str(config))
        extra = {"FEAST_REDIS": f"127.0.0.1:{port}"}
        called = ("--limit", "1500", "--via", "stream")
        done, table = check(shop, *called, *stores, extra=extra)
        keys = list(redis.scan_iter(count=10_000))
        lives = [int(str(redis.ttl(key))) for key in keys]
    assert done.returncode == 0, done.stdout + done.stderr
    found = counts(table)
    assert (found["mismatches"], found["state lost"]) == (0, 0)
    assert found["answers"] >= 100
    assert found["restarts"] >= 1
    sessions = [key for key in keys if key.startswith(b"micromoment-parity-") and b"}:v" in key]
    assert len(sessions) == found["sessions"]
    assert len(keys) > len(sessions)
    assert all(0 < life <= 86_400 for life in lives)


@pytest.mark.slow
def test_one_changed_bit_and_a_moved_centroid_are_found(shop: TrainedShop, two_days: Path) -> None:
    """With one of each on one path the check names the feature, its two values, and the cluster."""
    report = check_parity(
        ParityRequest(shop.bundle, two_days, limit=500, sabotage=True, sabotage_centroid=True)
    )
    assert not report.equal
    assert "cluster" in {one.field for one in report.mismatches}
    (changed,) = [one for one in report.mismatches if one.field.startswith("feature ")]
    assert changed.field == "feature n_events"
    assert float(changed.offline) == pytest.approx(float(changed.online), rel=1e-6)
    assert changed.offline != changed.online

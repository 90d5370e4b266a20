"""`micromoment retrain` as a schedule runs it: on the same days again, stopped, on a new day."""

from __future__ import annotations

import shutil
import signal
import time
from datetime import date
from pathlib import Path

import pytest

from micromoment.stores.bundles import find_bundle
from tests.e2e.conftest import LAST_DAY, TRAINED_UNTIL, TrainedShop
from tests.support.commands import BIN, Home, assert_gone
from training.importers.ga4 import import_ga4
from training.promotion.log import read_log
from training.simulator import ShopConfig, write_ga4_export

SMALL = ShopConfig(start=date(2024, 3, 4), days=6, sessions_per_day=260, target_conversion=0.15)


def test_a_first_run_trains_and_a_second_has_nothing_to_do(tmp_path: Path) -> None:
    """The candidate is judged on the day held out, promoted, and stays under the same days."""
    write_ga4_export(SMALL, tmp_path / "exports")
    import_ga4(str(tmp_path / "exports"), tmp_path / "events", currency="USD")
    home = Home(tmp_path)
    command = ("retrain", "--events", "events", "--min-buyers", "30", "--bootstrap", "50")
    first = home.succeed(*command)
    assert first.stdout.splitlines()[-1].startswith("trained and promoted: shop:")
    assert "2024-03-09 to 2024-03-09" in first.stdout
    serving = find_bundle(home.store, "shop:serving")
    (record,) = read_log(home.store, "shop")
    assert record.after == serving.name
    assert "calibration after 1 event" in [one["name"] for one in record.checks]
    assert not list((tmp_path / "data" / "features").glob("retrain*"))
    again = home.succeed(*command)
    assert again.stdout.startswith("nothing new: 0 days after 2024-03-09")
    assert find_bundle(home.store, "shop:serving") == serving
    assert len(read_log(home.store, "shop")) == 1


@pytest.fixture
def serving(shop: TrainedShop, tmp_path: Path) -> Home:
    """A home where the shop's bundle serves and a day has come since."""
    shutil.copytree(shop.home.store, tmp_path / "bentoml" / "models")
    home = Home(tmp_path)
    home.succeed("promote", "--bundle", "shop:latest")
    return home


def test_stopped_it_leaves_what_serves(shop: TrainedShop, serving: Home) -> None:
    """Killed, then ended by SIGTERM, then left alone: only the last run changes what serves."""
    before = find_bundle(serving.store, "shop:serving")
    scratch = serving.folder / "data" / "features" / "retrain.unfinished"
    command = (BIN / "micromoment", "retrain", "--events", shop.events)
    for number, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130)):
        shutil.rmtree(scratch, ignore_errors=True)
        with serving.start(*command) as process:
            deadline = time.monotonic() + 120
            while not scratch.exists():
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(number)
            process.communicate(timeout=60)
            assert process.returncode == status
            assert_gone(process)
        assert find_bundle(serving.store, "shop:serving") == before
        assert scratch.exists() == (number is signal.SIGKILL)

    done = serving.succeed(*command[1:])
    assert done.stdout.splitlines()[-1].startswith("calibration carried on and promoted: shop:")
    after = find_bundle(serving.store, "shop:serving")
    assert after != before
    assert not scratch.exists()
    records = read_log(serving.store, "shop")
    assert [one.after for one in records] == [before.name, after.name]
    assert str(LAST_DAY) in records[-1].reason
    assert TRAINED_UNTIL < LAST_DAY

    serving.succeed("rollback", "--name", "shop", "--by", "ann", "--reason", "complaints")
    assert find_bundle(serving.store, "shop:serving") == before
    left = serving.succeed(*command[1:])
    assert f"shop:{after.name} was rolled back by ann (complaints)" in left.stdout
    assert find_bundle(serving.store, "shop:serving") == before

    other = serving.micromoment(*command[1:], "--currency", "SEK")
    assert other.returncode == 1
    assert "currency: is SEK" in other.stderr

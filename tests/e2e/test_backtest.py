"""`micromoment backtest` and `recalibrate`: days as they would have been served."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from micromoment.scoring.bundle import load_bundle
from micromoment.scoring.golden import check_golden
from tests.e2e.conftest import LAST_DAY, TRAINED_UNTIL, TrainedShop
from training.publishing.bundle import read_calibration

BEFORE = TRAINED_UNTIL - timedelta(days=1)


def walked(shop: TrainedShop, out: Path, first: date, last: date) -> pa.Table:
    """Walk from the first to the last day and give the scored events."""
    days = ("--from", first.isoformat(), "--to", last.isoformat())
    where = ("--events", shop.events, "--out", out, "--bootstrap", "20")
    shop.home.succeed("backtest", *where, *days)
    return pq.read_table(out / "scores.parquet")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the walks leave their files."""
    return tmp_path_factory.mktemp("walk")


@pytest.fixture(scope="module")
def once(shop: TrainedShop, out: Path) -> pa.Table:
    """The scored events of a walk over two days, trained before the first."""
    return walked(shop, out / "once", TRAINED_UNTIL, LAST_DAY)


@pytest.fixture(scope="module")
def trained(shop: TrainedShop, out: Path) -> pa.Table:
    """The scored events of a walk over the last day alone, trained before it as the shop was."""
    return walked(shop, out / "trained", LAST_DAY, LAST_DAY)


def on(table: pa.Table, day: date) -> pa.Table:
    """Keep the events of a day; the shop's days are in UTC."""
    days = pc.cast(table["event_time"], pa.timestamp("us")).cast(pa.date32(), safe=False)
    return table.filter(pc.equal(days, pa.scalar(day)))


def test_a_day_is_scored_as_score_does(shop: TrainedShop, trained: pa.Table, out: Path) -> None:
    """The scores of a day are those of the bundle trained until the day before, bit by bit."""
    last = out / "last-day"
    last.mkdir()
    (last / f"{LAST_DAY}.parquet").symlink_to(shop.events / f"{LAST_DAY}.parquet")
    files = ("--events", last, "--history", shop.events, "--out", out / "score.parquet")
    shop.home.succeed("score", "--bundle", shop.tag, *files)
    expected = pq.read_table(out / "score.parquet")
    assert len(expected) > 1_000
    assert trained.combine_chunks().equals(expected.combine_chunks())


def test_nothing_of_later_days_is_known(shop: TrainedShop, once: pa.Table, out: Path) -> None:
    """What a day was served doesn't depend on the days after it."""
    alone = walked(shop, out / "alone", TRAINED_UNTIL, TRAINED_UNTIL)
    assert on(once, TRAINED_UNTIL).combine_chunks().equals(alone.combine_chunks())


def test_a_night_moves_calibration_and_tables(trained: pa.Table, once: pa.Table) -> None:
    """The second day after a training has other scores than the first after another."""
    refreshed = on(once, LAST_DAY)
    assert trained["event_id"].equals(refreshed["event_id"])
    assert not trained["conversion"].equals(refreshed["conversion"])


def test_figures_and_page_are_written(out: Path, once: pa.Table) -> None:
    """The evaluation covers both days, and the page tells which model served which."""
    values = json.loads((out / "once" / "evaluation.json").read_text(encoding="utf-8"))
    assert values["events"] > 0.95 * len(once)
    assert values["first_event"][:10] == TRAINED_UNTIL.isoformat()
    assert values["last_event"][:10] == LAST_DAY.isoformat()
    page = (out / "once" / "card.html").read_text(encoding="utf-8")
    for day in (TRAINED_UNTIL, LAST_DAY):
        assert f"<td>{day}</td><td>{BEFORE}</td>" in page


def test_days_that_are_not_there(shop: TrainedShop) -> None:
    """Too few days before the first, or none at all, are said plainly."""
    late = ("--from", "2031-01-01", "--to", "2031-01-02")
    done = shop.home.micromoment("backtest", "--events", shop.events, *late)
    assert done.returncode == 1
    assert "holds no events from 2031-01-01 to 2031-01-02" in done.stderr


def test_recalibrate_publishes_a_revision(shop: TrainedShop, tmp_path: Path) -> None:
    """Carried on through the last day, the bundle keeps its models and knows one day more."""
    name, version = shop.tag.split(":")
    shutil.copytree(shop.bundle, tmp_path / name / version)
    which = ("--bundle", shop.tag, "--events", shop.events, "--store", tmp_path)
    done = shop.home.succeed("recalibrate", *which)
    tag = done.stdout.strip()
    assert tag != shop.tag
    assert f"1 days, {LAST_DAY} to {LAST_DAY}" in done.stderr
    bundle = load_bundle(tmp_path / name / tag.split(":")[1])
    assert check_golden(bundle).inexact == 0
    assert bundle.manifest.training["calibrated_until"] == LAST_DAY.isoformat()
    nobody = {"people": 0, "last": None, "digest": ""}
    assert bundle.manifest.training["revision_erasures"] == nobody
    before, after = read_calibration(shop.bundle), read_calibration(bundle.path)
    assert before is not None
    assert after is not None
    assert after.mean != before.mean
    assert after.covariance[0][0] < before.covariance[0][0] + 0.1**2
    again = shop.home.micromoment("recalibrate", *which[2:], "--bundle", tag)
    assert again.returncode == 1
    assert f"holds no day after {LAST_DAY}, which is known" in again.stderr

"""`micromoment lint-data`, and how it stops `micromoment train`."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import TRAINED_UNTIL, TrainedShop
from tests.support.commands import Home
from tests.support.leaky_rows import made_up_rows


@pytest.fixture(scope="module")
def planted(shop: TrainedShop, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The shop's events, where an order's visit shows its source from the first event on."""
    home = Home(tmp_path_factory.mktemp("planted"))
    (home.folder / "events").mkdir()
    for path in shop.events.glob("*.parquet"):
        table = pq.read_table(path)
        bought = table.filter(pc.equal(table["type"], "purchase"))["session_id"]
        mark = pc.is_in(table["session_id"], bought.combine_chunks())
        source = pc.if_else(mark, "order-mail", table["referrer_source"])
        place = table.column_names.index("referrer_source")
        pq.write_table(table.set_column(place, table.schema.field(place), source),
                       home.folder / "events" / path.name)  # fmt: skip
    return home


def test_the_simulated_shop_has_no_leak(shop: TrainedShop) -> None:
    """Training a clean shop records a report without errors in the bundle."""
    manifest = json.loads((shop.bundle / "manifest.json").read_text())
    leaks = manifest["training"]["leaks"]
    assert [one for one in leaks["findings"] if one["severity"] == "error"] == []
    assert {"outcome-tokens", "changed-outcomes", "mid-visit-auc"} <= set(leaks["checked"])


def test_a_leak_stops_training_until_it_is_acknowledged(planted: Home) -> None:
    """Nothing is published, and the message names the value and what to type."""
    until = ("--until", TRAINED_UNTIL.isoformat())
    done = planted.micromoment("train", "--events", "events", *until)
    assert done.returncode == 1
    assert "referrer_source = 'order-mail'" in done.stderr
    assert "--acknowledge-leak outcome-tokens" in done.stderr
    assert not list(planted.store.glob("*/*"))


def test_rows_of_others_are_linted(tmp_path: Path) -> None:
    """A table with a leak ends with status 1, with its check acknowledged with 0."""
    made_up = made_up_rows(2, visits=3_000)
    rows = made_up.with_feature(made_up.final)
    columns = dict(zip(rows.feature_names, rows.features.T, strict=True))
    table = pa.table(columns | {
        "label": rows.label, "events_seen": rows.events_seen, "session": rows.session,
        "visitor": rows.visitor, "day": rows.day,
    })  # fmt: skip
    home = Home(tmp_path)
    pq.write_table(table, tmp_path / "rows.parquet")
    done = home.micromoment("lint-data", "--rows", "rows.parquet", "--out", "lint")
    assert done.returncode == 1, done.stderr
    found = json.loads((tmp_path / "lint" / "lint.json").read_text())["findings"]
    assert {one["subject"] for one in found if one["severity"] == "error"} == {"planted"}
    known = ",".join(sorted({one["check"] for one in found}))
    home.succeed("lint-data", "--rows", "rows.parquet", "--acknowledge", known)

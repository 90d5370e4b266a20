"""`micromoment audience` on the small shop: rules and sizes, members as CSV, sizes by day."""

from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path

from tests.e2e.conftest import LAST_DAY, TrainedShop
from training.segments.portraits import portraits_of

PERIOD = ("--from", (LAST_DAY - timedelta(days=1)).isoformat(), "--to", LAST_DAY.isoformat())


def test_training_portrays_every_cluster_and_audience(shop: TrainedShop) -> None:
    """In the bundle, with the visits of each; clusters have all of them between them."""
    portraits = portraits_of(shop.bundle)
    clusters = json.loads((shop.bundle / "clusters.json").read_text())["clusters"]
    audiences = json.loads((shop.bundle / "audiences.json").read_text())["audiences"]
    assert [one.id for one in portraits] == [one["id"] for one in [*clusters, *audiences]]
    assert abs(sum(one.share for one in portraits if one.kind == "cluster") - 1) < 1e-6
    assert all(one.text for one in portraits)
    record = json.loads((shop.bundle / "manifest.json").read_text())["training"]["clusters"]
    assert record["chosen"] == len(clusters)
    assert record["periods"] == 2
    assert 0 < record["by_number"][str(record["chosen"])]["between_weeks"] <= 1


def test_list_tells_who_is_in_them_and_how_many(shop: TrainedShop) -> None:
    """Each audience with its meaning, its limits as numbers and its size at training."""
    done = shop.home.succeed("audience", "list", "--bundle", shop.tag)
    sizes = {one.id: one.visits for one in portraits_of(shop.bundle)}
    lines = [line for line in done.stdout.splitlines() if "high-engagement-shoppers" in line]
    assert f"{sizes['high-engagement-shoppers']:,}" in lines[0]
    assert "many_events is " in done.stdout


def test_export_writes_a_line_per_member(shop: TrainedShop, tmp_path: Path) -> None:
    """Each visitor once; those who are in it at the end are some of them."""
    out = tmp_path / "members.csv"
    which = ("--bundle", "shop:latest", "--events", shop.events, *PERIOD)
    done = shop.home.succeed(
        "audience", "export", *which, "--audience", "high-engagement-shoppers", "--out", out
    )
    with out.open(newline="", encoding="utf-8") as file:
        members = list(csv.DictReader(file))
    assert f"{len(members):,} written" in done.stderr
    assert len(members) > 10
    assert len({one["visitor_id"] for one in members}) == len(members)
    assert all(one["visitor_id"] == one["user_id"] or not one["user_id"] for one in members)
    assert all(one["first_time"] <= one["last_time"] for one in members)
    at_end = shop.home.succeed(
        "audience", "export", *which, "--audience", "high-engagement-shoppers", "--at-end"
    )
    kept = {one["visitor_id"] for one in csv.DictReader(at_end.stdout.splitlines())}
    assert kept < {one["visitor_id"] for one in members}


def test_an_unknown_audience_is_named_with_those_that_there_are(shop: TrainedShop) -> None:
    """Before any work begins."""
    which = ("--events", shop.events, *PERIOD, "--audience", "nobody")
    done = shop.home.micromoment("audience", "export", *which)
    assert done.returncode == 1
    assert "nobody" in done.stderr
    assert "high-engagement-shoppers" in done.stderr
    assert "Traceback" not in done.stderr


def test_sizes_by_day(shop: TrainedShop, tmp_path: Path) -> None:
    """A row for each day, cluster and audience; a page to look at."""
    which = ("--events", shop.events, *PERIOD, "--out", tmp_path / "sizes")
    done = shop.home.succeed("audience", "sizes", *which)
    sizes = json.loads((tmp_path / "sizes" / "sizes.json").read_text(encoding="utf-8"))
    days = {one["day"] for one in sizes}
    assert len(days) == 2
    for day in days:
        shares = [one["share"] for one in sizes if (one["day"], one["kind"]) == (day, "cluster")]
        assert abs(sum(shares) - 1) < 1e-4
    assert "all visits" in done.stdout
    assert str(tmp_path / "sizes" / "sizes.html") in done.stderr

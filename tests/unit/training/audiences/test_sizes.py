"""Sizes day by day, by hand, and their page."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from rich.console import Console

from micromoment.events.shop import Shop
from tests.support.scored_points import scored_rows
from training.audiences.page import write_sizes
from training.audiences.sizes import DaySize, day_sizes
from training.audiences.tables import sizes_table

DAY = 24 * 60  # minutes
FIRST, SECOND = date(2024, 5, 1), date(2024, 5, 2)


def some_sizes(shop: Shop | None = None) -> list[DaySize]:
    """Measure two days: three visits of two visitors, and one."""
    table = scored_rows(
        {"session": "a", "cluster": "few", "audiences": ["x"], "at": 0},
        {"session": "a", "cluster": "many", "audiences": [], "at": 1},
        {"session": "a", "epoch": 1, "cluster": "few", "audiences": ["x"], "at": 60},
        {"session": "b", "cluster": "few", "audiences": [], "at": 13 * 60},
        {"session": "b", "cluster": "few", "audiences": ["x"], "at": DAY},
        {"session": "b", "cluster": "few", "audiences": ["x"], "at": DAY, "batch_last": False},
    )
    return day_sizes(table, shop or Shop(), ["few", "many"], ["x", "y"])


def test_sizes_of_each_day() -> None:
    """A visit is in its last cluster of the day, and in every audience it was in at any point."""
    found = {(one.id, one.day): (one.visits, one.visitors, one.of_visits) for one in some_sizes()}
    assert found == {
        ("few", FIRST): (2, 2, 3),
        ("few", SECOND): (1, 1, 1),
        ("many", FIRST): (1, 1, 3),
        ("many", SECOND): (0, 0, 1),
        ("x", FIRST): (2, 1, 3),
        ("x", SECOND): (1, 1, 1),
        ("y", FIRST): (0, 0, 3),
        ("y", SECOND): (0, 0, 1),
    }
    assert some_sizes()[0].share == 2 / 3


def test_days_are_the_shop_s() -> None:
    """At 23:00 in UTC it is tomorrow in Berlin."""
    berlin = {one.day: one.of_visits for one in some_sizes(Shop("EUR", "Europe/Berlin"))}
    assert berlin == {FIRST: 2, SECOND: 1}


def test_a_table_and_a_page_show_them(tmp_path: Path) -> None:
    """The same sizes give the same bytes; who is in none is said so, not drawn."""
    sizes = some_sizes()
    console = Console(width=80, record=True)
    console.print(sizes_table(sizes))
    printed = console.export_text()
    assert "67 %" in printed
    assert "05-02" in printed
    names = {"few": "Few & brief", "x": "X"}
    page = write_sizes(sizes, names, tmp_path, "Sizes of shop:1")
    html = page.read_text(encoding="utf-8")
    assert "Few &amp; brief" in html
    assert "Nobody was in: y." in html
    assert html.count('class="plotly-graph-div"') == 3
    first = json.loads((tmp_path / "sizes.json").read_text())[0]
    assert first == {
        "day": "2024-05-01", "kind": "cluster", "id": "few", "visits": 2, "visitors": 2,
        "of_visits": 3, "share": 0.666667,
    }  # fmt: skip
    assert write_sizes(sizes, names, tmp_path, "Sizes of shop:1").read_text() == html

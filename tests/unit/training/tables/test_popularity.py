"""Popularity: smoothed by hand, and never of the day that it describes."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.events.shop import Shop
from micromoment.events.vocabulary import EventType
from micromoment.features.tables import Tables, neutral_tables, tables_from_arrays
from micromoment.features.tables import tables_to_arrays as arrays_of
from tests.support.events import DAY, START_US, AnEvent, AnItem, an_event, to_table
from tests.support.visits import made_up_visits
from training.replay.partition import PART_SCHEMA
from training.replay.run import ReplaySettings
from training.tables import popularity
from training.tables.popularity import PSEUDO_BUYS, fit_popularity
from training.tables.prices import fit_price_edges
from training.tables.products import DayCounts, ProductCounts, collect_products

SHOP = Shop()
TODAY = START_US // DAY
MIDNIGHT = TODAY * DAY
NAME = "item_popularity"


def counts_of(*rows: tuple[int, int, int, int]) -> DayCounts:
    """Make counts from (day, key, visits, buys), days counted from `TODAY`."""
    day, key, visits, buys = np.array(sorted(rows)).T
    return DayCounts(day + TODAY, key.astype(np.uint64), visits, buys)


def fit(counts: DayCounts, shop: Shop = SHOP) -> Tables:
    """Fit and check as a bundle would."""
    fitted: dict[str, Any] = fit_popularity(NAME, counts, shop)
    return tables_from_arrays(arrays_of(neutral_tables()) | fitted)


def test_rates_by_hand() -> None:
    """Of 50 visits 5 bought: with prior 1/10, 40 visits and 5 buys give (2 + 5) / (20 + 40)."""
    tables = fit(counts_of((0, 7, 40, 5), (0, 8, 10, 0)))
    assert tables.item_popularity_starts.tolist() == [MIDNIGHT + DAY]
    assert tables.item_popularity_prior.tolist() == [pytest.approx(0.1)]
    assert PSEUDO_BUYS == 2
    expected = [pytest.approx(7 / 60), pytest.approx(2 / 30)]
    assert tables.item_popularity_values.tolist() == [expected]


def test_a_week_is_seven_days() -> None:
    """A day's row holds what the seven days before it held, and nothing older."""
    tables = fit(counts_of(*((day, 7, 100, 10 + day) for day in range(9))))
    rates = [(2 + buys) / (2 * visits / buys + visits)
             for visits, buys in ((100, 10), (200, 21), (700, 91), (700, 98))]  # fmt: skip
    found = tables.item_popularity_values[:, 0]
    assert len(found) == 9
    assert found[[0, 1, 6, 7]].tolist() == [pytest.approx(rate) for rate in rates]


def test_rows_begin_at_the_shop_s_midnights() -> None:
    """Where clocks change on the second day, the third begins 23 hours after it."""
    berlin = Shop(time_zone="Europe/Berlin")
    first = date(2024, 3, 29).toordinal() - date(1970, 1, 1).toordinal() - TODAY
    starts = fit(counts_of((first, 7, 50, 5), (first + 2, 7, 50, 5)), berlin).item_popularity_starts
    told = [datetime.fromtimestamp(start / 1e6, UTC).isoformat() for start in starts.tolist()]
    assert told == [
        "2024-03-29T23:00:00+00:00", "2024-03-30T23:00:00+00:00", "2024-03-31T22:00:00+00:00"
    ]  # fmt: skip


def test_after_days_without_visits_the_last_rate_stays() -> None:
    """After a week without data there is no row until the day after the next visits."""
    starts = fit(counts_of((0, 7, 50, 5), (20, 7, 50, 5))).item_popularity_starts
    assert ((starts - MIDNIGHT) // DAY).tolist() == [1, 2, 3, 4, 5, 6, 7, 21]


def test_days_without_an_order_have_rates_of_zero() -> None:
    """Without any buy in a week every rate is 0, and no warning."""
    tables = fit(counts_of((0, 7, 50, 0)))
    assert tables.item_popularity_prior.tolist() == [0]
    assert tables.item_popularity_values.tolist() == [[0]]


def test_only_frequent_keys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four keys the rare one goes, then the least frequent; all count for the prior."""
    monkeypatch.setattr(popularity, "MAX_KEYS", 2)
    counts = counts_of((0, 5, 9, 9), (0, 6, 10, 0), (0, 7, 11, 0), (0, 8, 30, 3))
    tables = fit(counts)
    assert tables.item_popularity_keys.tolist() == [7, 8]
    assert tables.item_popularity_prior.tolist() == [pytest.approx(12 / 60)]


def test_no_visits_no_rows() -> None:
    """Without a visit that acted on anything there is no table, also when something was sold."""
    nothing = DayCounts(*(np.zeros(0, kind) for kind in ("i8", "u8", "i8", "i8")))
    for counts in (nothing, counts_of((0, 7, 0, 5))):
        assert fit(counts).item_popularity_values.shape == (0, 0)


def collected(folder: Path, events: list[AnEvent]) -> Tables:
    """Fit the items' popularity on events."""
    table = to_table(events).append_column("wanted", pa.array([True] * len(events)))
    pq.write_table(table.cast(PART_SCHEMA), folder / "part.parquet")
    return fit(collect_products([folder / "part.parquet"], ReplaySettings(SHOP)).items)


def test_a_day_s_table_never_sees_that_day(tmp_path: Path) -> None:
    """A hundred buyers planted on a day change no row up to that day's, and every later one."""
    events = made_up_visits(600, days=10)
    planted_day = START_US + 4 * DAY
    planted = [
        an_event(
            event_id=f"planted-{visitor}-{kind}",
            session_id=f"planted-{visitor}",
            anonymous_id=f"planted-{visitor}",
            type=kind,
            event_time=planted_day + visitor,
            items=(AnItem(item_id="i1", quantity=1),),
        )
        for visitor in range(100)
        for kind in (EventType.ITEM_VIEW, EventType.CART_ADD, EventType.PURCHASE)
    ]
    before = collected(tmp_path, events)
    after = collected(tmp_path, sorted([*events, *planted], key=lambda event: event.event_time))
    starts = before.item_popularity_starts
    assert starts.tolist() == after.item_popularity_starts.tolist()
    assert before.item_popularity_keys.tolist() == after.item_popularity_keys.tolist()
    same = (before.item_popularity_values == after.item_popularity_values).all(axis=1)
    same &= before.item_popularity_prior == after.item_popularity_prior
    assert same.tolist() == (starts <= planted_day).tolist()
    assert same.sum() == 4
    assert (~same).sum() == 7


def test_what_happens_late_counts_when_it_is_known(tmp_path: Path) -> None:
    """An event whose clock runs behind its visit's counts on the day of its feature time."""
    events = [
        an_event(event_id=f"v{n}", session_id=f"v{n}", event_time=MIDNIGHT + DAY - 1)
        for n in range(20)
    ]
    look: dict[str, Any] = {"type": EventType.ITEM_VIEW, "items": (AnItem(),)}
    late = [replace(event, event_id=f"late {event.event_id}", **look) for event in events]
    on_time = [replace(event, event_id=f"next {event.event_id}", event_time=MIDNIGHT + DAY)
               for event in events]  # fmt: skip
    starts = collected(tmp_path, [*events, *on_time, *late]).item_popularity_starts
    assert starts.tolist() == [MIDNIGHT + 2 * DAY]


def test_price_edges_by_hand() -> None:
    """Of looks at 1 to 20, once each, edges are 2, 4 to 18; of one price, all are that price."""
    nothing = DayCounts(*(np.zeros(0, kind) for kind in ("i8", "u8", "i8", "i8")))
    counts = ProductCounts(nothing, nothing, np.arange(1, 21) * 1_000_000, np.ones(20, np.int64))
    assert fit_price_edges(counts).tolist() == [2, 4, 6, 8, 10, 12, 14, 16, 18]
    one = replace(counts, prices=np.array([5_000_000]), looks=np.array([3]))
    assert fit_price_edges(one).tolist() == [5] * 9
    mostly = replace(counts, prices=np.array([1, 9]) * 1_000_000, looks=np.array([3, 7]))
    assert fit_price_edges(mostly).tolist() == [1, 1, 1, 9, 9, 9, 9, 9, 9]
    assert fit_price_edges(replace(one, prices=one.prices[:0], looks=one.looks[:0])).shape == (0,)

"""What is counted of products: visits that acted on one, visits that bought it, prices."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.events.hashing import hash_id
from micromoment.events.shop import Shop
from micromoment.events.vocabulary import EventType, PageType
from tests.support.events import (
    DAY,
    MINUTE,
    PLAIN_SHOP,
    SECOND,
    START_US,
    AnEvent,
    AnItem,
    an_event,
    to_table,
)
from tests.support.visits import made_up_visits
from training.replay.partition import PART_SCHEMA
from training.replay.run import ReplaySettings
from training.tables.products import DayCounts, ProductCounts, collect_products

TODAY = START_US // DAY


def collect(
    folder: Path, *parts: Sequence[AnEvent], shop: Shop = PLAIN_SHOP, workers: int = 1
) -> ProductCounts:
    """Count over parts that hold these events."""
    paths = []
    for number, events in enumerate(parts):
        table = to_table(events).append_column("wanted", pa.array([True] * len(events)))
        paths.append(folder / f"part{number}.parquet")
        pq.write_table(table.cast(PART_SCHEMA), paths[-1])
    return collect_products(paths, ReplaySettings(shop, workers=workers))


def counted(counts: DayCounts) -> dict[tuple[int, int], tuple[int, int]]:
    """Tell visits and buys by day and key."""
    keys = zip(counts.day.tolist(), counts.key.tolist(), strict=True)
    values = zip(counts.visits.tolist(), counts.buys.tolist(), strict=True)
    return dict(zip(keys, values, strict=True))


def today(**words: tuple[int, int]) -> dict[tuple[int, int], tuple[int, int]]:
    """Tell what is expected of words on the day of `START_US`."""
    return {(TODAY, hash_id(word)): pair for word, pair in words.items()}


def act(
    number: int, kind: EventType, *items: str, visit: str = "s1", at: int = 0, quantity: int = 1
) -> AnEvent:
    """Act on products, `at` microseconds after the start."""
    return an_event(
        event_id=f"{visit}-{number}",
        type=kind,
        session_id=visit,
        event_time=START_US + at,
        items=tuple(
            AnItem(item_id=item, quantity=quantity or None, category_path=(f"of {item}",))
            for item in items
        ),
    )


LOOK, ADD, ORDER = EventType.ITEM_VIEW, EventType.CART_ADD, EventType.PURCHASE


def test_each_visit_counts_once(tmp_path: Path) -> None:
    """A is looked at by two visits, three times by one of them, and bought by one."""
    events = [
        act(1, LOOK, "A"),
        act(2, LOOK, "A"),
        act(3, ADD, "A", "B"),
        act(4, ORDER, "A"),
        act(1, LOOK, "A", visit="s2"),
    ]
    counts = collect(tmp_path, events)
    assert counted(counts.items) == today(A=(2, 1), B=(1, 0))
    assert counted(counts.categories) == today(**{"of A": (2, 1), "of B": (1, 0)})


def test_a_shelf_and_later_looks_are_not_acted_on(tmp_path: Path) -> None:
    """Products shown beside others, or looked at after the order, count for nobody."""
    shelf = act(1, LOOK, "A", "B", quantity=0)
    events = [shelf, act(2, LOOK, "C"), act(3, ORDER, "C"), act(4, LOOK, "D")]
    assert counted(collect(tmp_path, events).items) == today(C=(1, 1))


def test_what_was_bought_without_being_acted_on_is_no_rate(tmp_path: Path) -> None:
    """An order that names A, which was acted on, and X, which was not, counts for A alone."""
    events = [act(1, LOOK, "A"), act(2, ADD, "B"), act(3, ORDER, "A", "X")]
    assert counted(collect(tmp_path, events).items) == today(A=(1, 1), B=(1, 0))


@pytest.mark.parametrize("named", [(), ("other-id",)])
def test_an_order_without_known_products_counts_for_the_cart(
    tmp_path: Path, named: tuple[str, ...]
) -> None:
    """Where an order has no lines, or names products by other ids, the cart was bought."""
    events = [act(1, LOOK, "A"), act(2, ADD, "B"), act(3, ORDER, *named)]
    assert counted(collect(tmp_path, events).items) == today(A=(1, 0), B=(1, 1))


def test_a_repeated_order_counts_once(tmp_path: Path) -> None:
    """The same purchase reported twice, under one id or two, is one."""
    events = [act(1, LOOK, "A"), act(2, ORDER, "A"), act(2, ORDER, "A"), act(3, ORDER, "A")]
    assert counted(collect(tmp_path, events).items) == today(A=(1, 1))


def test_a_gap_begins_another_visit(tmp_path: Path) -> None:
    """A session id that comes back after an hour is a visit of its own."""
    events = [act(1, LOOK, "A"), act(2, ORDER, "A"), act(3, LOOK, "A", at=60 * MINUTE)]
    assert counted(collect(tmp_path, events).items) == today(A=(2, 1))


def test_days_are_the_shop_s(tmp_path: Path) -> None:
    """A look before midnight and the order after it belong to two days of the shop's clock."""
    shop = Shop(time_zone="Pacific/Auckland")  # midnight is at 12:00 UTC
    noon = 120 * MINUTE  # `START_US` is 10:00
    events = [act(1, LOOK, "A", at=noon - 1), act(2, ORDER, "A", at=noon)]
    key = hash_id("A")
    found = counted(collect(tmp_path, events, shop=shop).items)
    assert found == {(TODAY, key): (1, 0), (TODAY + 1, key): (0, 1)}


def test_prices_of_looks(tmp_path: Path) -> None:
    """Distinct prices come with the looks at them; additions and confirmation pages don't."""

    def priced(number: int, kind: EventType, price: int | None) -> AnEvent:
        items = (AnItem(item_id="A", price_micros=None if price is None else price * SECOND),)
        return an_event(event_id=f"e{number}", type=kind, items=items, page_type=PageType.ITEM)

    prices = (5, 3, 5, None)
    events = [*(priced(n, LOOK, price) for n, price in enumerate(prices)), priced(9, ADD, 7)]
    counts = collect(tmp_path, events)
    assert counts.prices.tolist() == [3 * SECOND, 5 * SECOND]
    assert counts.looks.tolist() == [1, 2]


def test_parts_add_up(tmp_path: Path) -> None:
    """Counts don't depend on how visits are spread over parts, nor on the workers."""
    events = made_up_visits(200, days=9)
    halves = [[e for e in events if int(e.session_id[1:]) % 2 == half] for half in (0, 1)]
    whole = collect(tmp_path, events)
    assert whole.items.buys.sum() > 0
    for workers in (1, 2):
        split = collect(tmp_path, *halves, workers=workers)
        assert counted(split.items) == counted(whole.items)
        assert counted(split.categories) == counted(whole.categories)
        assert np.array_equal(split.prices, whole.prices)
        assert np.array_equal(split.looks, whole.looks)

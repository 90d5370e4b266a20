"""What is counted of products in a replay: who acted on which, who ordered it, prices looked at.

A visit acts on a product or its category by a look or by putting it into the cart, up to its first
order. It buys those of them that its orders name. An order that names none of them (it has no
lines, or names them by other ids) counts for what the visit had put into the cart. Each visit
counts once for a product: on the day when it first acted on it, and on the day of the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from micromoment.events.record import MISSING_MICROS, RecordArray
from micromoment.events.shop import Shop
from micromoment.events.vocabulary import EventType
from training.replay.labels import visit_ids
from training.replay.run import ReplaySettings, replay_moments, run_jobs
from training.replay.sessions import GroupedEvents, group_by_session

US_PER_DAY: Final = 86_400_000_000
_US_PER_MINUTE: Final = 60_000_000

IntArray = npt.NDArray[np.int64]
KeyArray = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class DayCounts:
    """Visits that acted on a key on a shop-day, and those that bought it then; n rows.

    `day` is in days since 1970 by the shop's clock; rows are in order of day and key.
    """

    day: IntArray
    key: KeyArray
    visits: IntArray
    buys: IntArray


@dataclass(frozen=True)
class ProductCounts:
    """What a replay says of products. `prices` are distinct ones, in micros, with their looks."""

    items: DayCounts
    categories: DayCounts
    prices: IntArray
    looks: IntArray


@dataclass(frozen=True)
class _Lines:
    """Item lines of accepted events, l of them: whose, when, of which product, what was done."""

    visit: IntArray
    day: IntArray
    item: RecordArray
    looked: npt.NDArray[np.bool_]
    added: npt.NDArray[np.bool_]
    ordered: npt.NDArray[np.bool_]


def collect_products(parts: list[Path], settings: ReplaySettings) -> ProductCounts:
    """Count over all parts; a visit is in one part whole."""
    counts = list(run_jobs(_collect, [(part, settings) for part in parts], settings.workers))
    prices = np.concatenate([one.prices for one in counts])
    looks = np.concatenate([one.looks for one in counts])
    distinct, place = np.unique(prices, return_inverse=True)
    return ProductCounts(
        items=added_up([one.items for one in counts]),
        categories=added_up([one.categories for one in counts]),
        prices=distinct,
        looks=np.bincount(place, looks, len(distinct)).astype(np.int64),
    )


def shop_days(times_us: IntArray, shop: Shop) -> IntArray:
    """Give the shop's day of each time, in days since 1970, shape (n,)."""
    offsets = shop.utc_offsets_minutes(times_us).astype(np.int64)
    return (times_us + offsets * _US_PER_MINUTE) // US_PER_DAY


def added_up(counts: Sequence[DayCounts]) -> DayCounts:
    """Add up the counts of equal days and keys."""
    joined = {
        field.name: np.concatenate([getattr(one, field.name) for one in counts])
        for field in fields(DayCounts)
    }
    rows = np.zeros(len(joined["day"]), np.dtype([("day", "i8"), ("key", "u8")]))
    rows["day"], rows["key"] = joined["day"], joined["key"]
    distinct, place = np.unique(rows, return_inverse=True)
    sums = [np.zeros(len(distinct), np.int64) for _ in range(2)]
    for total, name in zip(sums, ("visits", "buys"), strict=True):
        np.add.at(total, place, joined[name])
    return DayCounts(distinct["day"], distinct["key"], *sums)


def _collect(job: tuple[Path, ReplaySettings]) -> ProductCounts:
    part, settings = job
    grouped = group_by_session(pq.read_table(part), settings.shop, settings.ids)
    moments = replay_moments(grouped, settings)
    lines = _lines(grouped, moments, settings.shop)
    orders = (grouped.batch.events["type"] == EventType.PURCHASE) & (moments["outcome"] > 0)
    visits, first = np.unique(visit_ids(grouped, moments)[orders], return_index=True)
    days = shop_days(moments["feature_time"][orders][first], settings.shop)
    priced = lines.looked & (lines.item["price"] != MISSING_MICROS)
    prices, looks = np.unique(lines.item["price"][priced], return_counts=True)
    return ProductCounts(
        items=_count(lines, lines.item["item"], visits, days),
        categories=_count(lines, lines.item["top_category"], visits, days),
        prices=prices,
        looks=looks,
    )


def _lines(grouped: GroupedEvents, moments: RecordArray, shop: Shop) -> _Lines:
    events, items = grouped.batch.events, grouped.batch.items
    event = np.repeat(np.arange(len(events)), events["n_items"])
    kind = events["type"][event]
    accepted = moments["outcome"][event] > 0
    before = accepted & (moments["converted"][event] == 0)
    acted_on = (items["quantity"] > 0) | (events["n_items"][event] == 1)
    return _Lines(
        visit=visit_ids(grouped, moments)[event],
        day=shop_days(moments["feature_time"], shop)[event],
        item=items,
        looked=before & acted_on & (kind == EventType.ITEM_VIEW),
        added=before & acted_on & (kind == EventType.CART_ADD),
        ordered=accepted & (kind == EventType.PURCHASE),
    )


def _count(lines: _Lines, keys: KeyArray, visits: IntArray, days: IntArray) -> DayCounts:
    """Count by key of n lines; `visits`, ascending, ordered on `days`."""
    known = keys != 0
    acted = known & (lines.looked | lines.added)
    pairs, first = _distinct(lines.visit, keys, acted, lines.day)
    ordered, _ = _distinct(lines.visit, keys, known & lines.ordered, lines.day)
    added, _ = _distinct(lines.visit, keys, known & lines.added, lines.day)
    named = np.intersect1d(pairs, ordered)
    in_cart = added[~np.isin(added["visit"], named["visit"]) & np.isin(added["visit"], visits)]
    bought = np.concatenate([named, in_cart])
    return added_up(
        [
            DayCounts(first, pairs["key"], np.ones_like(first), np.zeros_like(first)),
            DayCounts(
                day=days[np.searchsorted(visits, bought["visit"])],
                key=bought["key"],
                visits=np.zeros(len(bought), np.int64),
                buys=np.ones(len(bought), np.int64),
            ),
        ]
    )


_PAIR = np.dtype([("visit", "i8"), ("key", "u8")])


def _distinct(
    visit: IntArray, keys: KeyArray, chosen: npt.NDArray[np.bool_], day: IntArray
) -> tuple[RecordArray, IntArray]:
    """Give the distinct pairs of visit and key of the chosen lines, and the first day of each."""
    pairs = np.zeros(int(chosen.sum()), _PAIR)
    pairs["visit"], pairs["key"] = visit[chosen], keys[chosen]
    distinct, place = np.unique(pairs, return_inverse=True)
    first = np.full(len(distinct), np.iinfo(np.int64).max)
    np.minimum.at(first, place, day[chosen])
    return distinct, first

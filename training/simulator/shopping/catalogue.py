"""The shop's catalogue: items in six categories, some on sale, and the shelves they stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from training.simulator.shopping.codes import N_CATEGORIES, N_SHELVES, SALE_SHELF, SEARCH_SHELF
from training.simulator.shopping.records import N_STYLES, SHELF_LENGTH
from training.simulator.shopping.streams import CATALOGUE, generator

CATEGORIES: Final = ("Apparel", "Drinkware", "Bags", "Stationery", "Lifestyle", "Electronics")
_MEDIAN_PRICE: Final = (34.0, 18.0, 62.0, 9.0, 25.0, 85.0)
_NOUNS: Final = (
    ("Tee", "Hoodie", "Cap", "Socks", "Jacket"),
    ("Mug", "Bottle", "Tumbler", "Flask", "Teapot"),
    ("Backpack", "Tote", "Sling", "Duffel", "Pouch"),
    ("Notebook", "Pen", "Sticker Set", "Planner", "Pencil Case"),
    ("Umbrella", "Candle", "Blanket", "Puzzle", "Plant Pot"),
    ("Headphones", "Speaker", "Charger", "Lamp", "Keyboard"),
)
_ADJECTIVES: Final = (
    "Alpine", "Amber", "Birch", "Cobalt", "Coral", "Dune", "Ember", "Fern", "Granite", "Harbor",
    "Indigo", "Juniper", "Lunar", "Maple", "Meadow", "Mist", "Ochre", "Pebble", "Quartz", "River",
)  # fmt: skip
_BRANDS: Final = ("Northwind", "Fabrikam", "Tailspin", "Own Label")
_ON_SALE_SHARE: Final = 0.2


class Shop(NamedTuple):
    """What compiled code knows of the shop; arrays have one row per item, prices are in dollars.

    `shelves` has shape (N_SHELVES, SHELF_LENGTH): item numbers, -1 where a shelf ends.
    """

    price: npt.NDArray[np.float64]
    on_sale: npt.NDArray[np.uint8]
    category: npt.NDArray[np.int16]
    appeal: npt.NDArray[np.float64]
    style: npt.NDArray[np.float64]
    shelves: npt.NDArray[np.int16]
    repeated_purchase: float
    unset_order: float


@dataclass(frozen=True)
class Catalogue:
    """Ids (unique), names and brands of the items, in the order of `shop`'s arrays."""

    shop: Shop
    item_ids: tuple[str, ...]
    names: tuple[str, ...]
    brands: tuple[str, ...]

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.item_ids)


def build_catalogue(
    seed: int, n_items: int, repeated_purchase: float, unset_order: float
) -> Catalogue:
    """Draw a catalogue; the same arguments give the same one."""
    rng = generator(seed, CATALOGUE)
    category = np.sort(np.arange(n_items) % N_CATEGORIES).astype(np.int16)
    on_sale = (rng.random(n_items) < _ON_SALE_SHARE).astype(np.uint8)
    shop = Shop(
        price=_prices(rng, category, on_sale),
        on_sale=on_sale,
        category=category,
        appeal=rng.normal(0.0, 0.5, n_items),
        style=rng.normal(0.0, 0.6, (n_items, N_STYLES)),
        shelves=_shelves(rng, category, on_sale),
        repeated_purchase=repeated_purchase,
        unset_order=unset_order,
    )
    return Catalogue(
        shop=shop,
        item_ids=tuple(f"SIM{number:05d}" for number in 10_000 + rng.permutation(n_items)),
        names=_names(rng, category),
        brands=tuple(_BRANDS[brand] for brand in rng.integers(0, len(_BRANDS), n_items)),
    )


def _prices(
    rng: np.random.Generator, category: npt.NDArray[np.int16], on_sale: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    median = np.array(_MEDIAN_PRICE)[category]
    full = np.maximum(2.0, np.round(median * np.exp(rng.normal(0.0, 0.45, category.size))))
    return np.where(on_sale == 1, np.maximum(1.0, np.round(full * 0.75)) - 0.01, full)


def _shelves(
    rng: np.random.Generator, category: npt.NDArray[np.int16], on_sale: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int16]:
    shelves = np.full((N_SHELVES, SHELF_LENGTH), -1, dtype=np.int16)
    for number in range(N_CATEGORIES):
        members = np.flatnonzero(category == number)
        _fill(shelves[number], rng.permutation(members))
        _fill(shelves[SEARCH_SHELF + number], rng.permutation(members))
    reduced = np.flatnonzero(on_sale)
    # A shop always has something to show under "Sale".
    _fill(shelves[SALE_SHELF], rng.permutation(reduced if reduced.size else np.arange(3)))
    return shelves


def _fill(shelf: npt.NDArray[np.int16], items: npt.NDArray[np.int64]) -> None:
    shown = min(SHELF_LENGTH, items.size)
    shelf[:shown] = items[:shown]


def _names(rng: np.random.Generator, category: npt.NDArray[np.int16]) -> tuple[str, ...]:
    names: list[str] = []
    for number in range(N_CATEGORIES):
        pairs = [f"{adjective} {noun}" for noun in _NOUNS[number] for adjective in _ADJECTIVES]
        wanted = int(np.count_nonzero(category == number))
        names += [pairs[place] for place in rng.permutation(len(pairs))[:wanted]]
    return tuple(names)

"""The `items` column: lists of items with a quantity only on what was acted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.simulator.ga4.pages import shelf_name
from training.simulator.ga4.schema import EXPORT_SCHEMA, ITEM
from training.simulator.shopping.catalogue import CATEGORIES, Catalogue
from training.simulator.shopping.codes import N_SHELVES, Holds, Kind
from training.simulator.shopping.records import CART_LINES, SHELF_LENGTH, Records

_NOT_SET: Final = "(not set)"
PROMOTION_NAME: Final = "Spring Sale"


@dataclass(frozen=True)
class HeldItems:
    """Items of n rows as matrices of shape (n, SHELF_LENGTH); -1 where a row has no more items.

    The number after the last item stands for the promotion on the home page. A quantity of 0 is
    missing.
    """

    items: npt.NDArray[np.int64]
    quantities: npt.NDArray[np.int64]


def held_items(rows: Records, catalogue: Catalogue) -> HeldItems:
    """Spell out what the rows hold."""
    items = np.full((rows.size, SHELF_LENGTH), -1, dtype=np.int64)
    quantities = np.zeros((rows.size, SHELF_LENGTH), dtype=np.int64)
    single = rows["holds"] == Holds.ITEM
    items[single, 0] = rows["item"][single]
    quantities[single, 0] = rows["quantity"][single]
    items[rows["holds"] == Holds.PROMOTION, 0] = catalogue.n_items
    shelf = rows["holds"] == Holds.SHELF
    items[shelf] = catalogue.shop.shelves[rows["shelf"][shelf]]
    acted = items[shelf] == rows["item"][shelf][:, None]
    quantities[shelf] = np.where(acted, rows["quantity"][shelf][:, None], 0)
    cart = rows["holds"] == Holds.CART
    filled = np.arange(CART_LINES) < rows["cart_lines"][cart][:, None]
    items[cart, :CART_LINES] = np.where(filled, rows["cart_items"][cart], -1)
    quantities[cart, :CART_LINES] = np.where(filled, rows["cart_quantities"][cart], 0)
    return HeldItems(items, quantities)


def items_column(rows: Records, held: HeldItems, catalogue: Catalogue) -> pa.Array:
    """Build the column for n rows."""
    present = held.items >= 0
    row, place = np.nonzero(present)
    item = held.items[present]
    quantity = held.quantities[present]
    template = _template(catalogue).take(pa.array(item))
    fields = dict(zip(ITEM.names, template.flatten(), strict=True))
    fields["quantity"] = pa.array(quantity, mask=quantity == 0)
    listed = (rows["holds"] == Holds.SHELF)[row]
    names = pa.array([shelf_name(shelf) for shelf in range(N_SHELVES)])
    fields["item_list_name"] = _where(listed, names.take(pa.array(rows["shelf"][row])), _NOT_SET)
    positions = pa.array([str(position) for position in range(1, SHELF_LENGTH + 1)])
    fields["item_list_index"] = _where(listed, positions.take(pa.array(place)), _NOT_SET)
    bought = (rows["kind"] == Kind.PURCHASE)[row]
    price = np.append(catalogue.shop.price, 0.0)[item]
    fields["price_in_usd"] = pa.array(price, mask=~bought)
    fields["item_revenue"] = pa.array(price * quantity, mask=~bought)
    fields["item_revenue_in_usd"] = fields["item_revenue"]
    values = pa.StructArray.from_arrays([fields[name] for name in ITEM.names], fields=list(ITEM))
    offsets = np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), values, type=EXPORT_SCHEMA.field("items").type
    )


def _where(chosen: npt.NDArray[np.bool_], values: pa.Array, other: str) -> pa.Array:
    both = pa.concat_arrays([values, pa.array([other])])
    return both.take(pa.array(np.where(chosen, np.arange(chosen.size), chosen.size)))


def _template(catalogue: Catalogue) -> pa.Array:
    """Give what an item always says of itself, one row per item, then the promotion."""
    blank = dict.fromkeys((field.name for field in ITEM if field.type == pa.string()), _NOT_SET)
    rows: list[dict[str, object]] = [
        {
            **blank,
            "item_id": catalogue.item_ids[item],
            "item_name": catalogue.names[item],
            "item_brand": catalogue.brands[item],
            "item_category": CATEGORIES[catalogue.shop.category[item]],
            "price": float(catalogue.shop.price[item]),
            "promotion_name": PROMOTION_NAME if catalogue.shop.on_sale[item] else _NOT_SET,
        }
        for item in range(catalogue.n_items)
    ]
    rows.append({**blank, "promotion_name": PROMOTION_NAME, "creative_name": "Front Page Carousel"})
    return pa.array(rows, ITEM)

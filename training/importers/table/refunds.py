"""Which order a returned line was bought in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

# Of one product at one price by one customer, so many purchases back are looked at.
MAX_PURCHASES: Final = 1_000


class OrderLine(NamedTuple):
    """A line of a purchase or of a refund; quantities are positive.

    `known_order_id` is the order that a refund is known to be of, empty where it is known to be of
    none here; only other refunds are linked. `key` tells the caller which line it is.
    """

    customer_id: str
    item_id: str
    price_micros: int
    is_refund: bool
    order_id: str | None
    quantity: float
    known_order_id: str | None
    key: tuple[int, int]


@dataclass(slots=True)
class _Purchase:
    order_id: str
    left: float


def link_refunds(lines: Iterable[OrderLine]) -> Iterator[tuple[tuple[int, int], str]]:
    """Give the key of each refund whose order is found, and that order's id.

    Lines come grouped by customer, item and price, inside by time. A refund is taken from the
    latest earlier purchase of exactly its quantity, else from the latest of more; what was taken
    back once is not taken back again.
    """
    group: tuple[str, str, int] | None = None
    bought: list[_Purchase] = []
    for line in lines:
        if line[:3] != group:
            group, bought = line[:3], []
        if not line.is_refund:
            bought.append(_Purchase(line.order_id or "", line.quantity))
        elif line.known_order_id is not None:
            of_order = [p for p in bought[-MAX_PURCHASES:] if p.order_id == line.known_order_id]
            _take_back(of_order, line.quantity)
        else:
            found = _take_back(bought[-MAX_PURCHASES:], line.quantity)
            if found is not None and found.order_id:
                yield line.key, found.order_id


def _take_back(bought: list[_Purchase], quantity: float) -> _Purchase | None:
    latest_first = bought[::-1]
    exact = (purchase for purchase in latest_first if purchase.left == quantity)
    larger = (purchase for purchase in latest_first if purchase.left > quantity)
    found = next(exact, None) or next(larger, None)
    if found is not None:
        found.left -= quantity
    return found

"""Order histories: customers who order at random and one day stop, as canonical events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np

from micromoment.events.shop import Shop
from tests.support.happenings import Happening, moment

SHOP = Shop("EUR", "Europe/Berlin")


def order(visitor: str, day: date, number: int, hour: int = 12) -> Happening:
    """Make an order, a visit of its own."""
    return Happening(
        moment(day, hour, shop=SHOP),
        user_id=visitor,
        type="purchase",
        session_id=f"{visitor}-{number}",
        order_id=f"{visitor}-{number}",
        value_micros=10_000_000,
        currency="EUR",
        source_seq=1,
    )


def view(visitor: str, day: date, number: int) -> Happening:
    """Make a visit of one page."""
    return Happening(
        moment(day, 10, shop=SHOP), anonymous_id=visitor, session_id=f"{visitor}-v{number}"
    )


def customers(
    first_day: date,
    days: int,
    n: int,
    *,
    gap_days: float = 4.0,
    leaves: float = 0.12,
    seed: int = 3,
) -> Iterator[Happening]:
    """Draw n customers who begin on any day and stop after any order with probability `leaves`.

    They wait about `gap_days` from order to order, half of them four times as long.
    """
    random = np.random.default_rng(seed)
    for customer in range(n):
        day = float(random.integers(0, days))
        mean = gap_days * (1 if customer % 2 else 4)
        number = 0
        while day < days:
            yield order(f"c{customer}", first_day + timedelta(days=int(day)), number)
            number += 1
            if random.random() < leaves:
                break
            day += max(1.0, random.exponential(mean))

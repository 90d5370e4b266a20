"""The population: who the shoppers are, before their first visit."""

from __future__ import annotations

from typing import Final

import numpy as np

from training.simulator.shopping.codes import N_CATEGORIES, Channel
from training.simulator.shopping.records import N_STYLES, SHOPPER, Records
from training.simulator.shopping.rhythm import DAY_US, WEEKDAY_TRAFFIC

_ON_PHONE: Final = 0.45
_CHANNEL_SHARES: Final = {
    Channel.DIRECT: 0.28,
    Channel.ORGANIC: 0.42,
    Channel.PAID: 0.18,
    Channel.REFERRAL: 0.12,
}


def draw_shoppers(
    rng: np.random.Generator, first_day_us: int, days: int, arrivals_per_day: float
) -> Records:
    """Draw the shoppers who come for the first time in `days` days from `first_day_us` on.

    `first_us` holds the start of the day of the first visit; the rest of a record's life is zero.
    """
    traffic = np.array([WEEKDAY_TRAFFIC[(first_day_us // DAY_US + 3 + d) % 7] for d in range(days)])
    arrivals = rng.poisson(arrivals_per_day * traffic)
    n = int(arrivals.sum())
    shoppers = np.zeros(n, dtype=SHOPPER)
    shoppers["first_us"] = first_day_us + np.repeat(np.arange(days), arrivals) * DAY_US
    shoppers["budget"] = 32.0 * np.exp(rng.normal(0.0, 0.6, n))
    shoppers["thrift"] = rng.uniform(0.0, 1.0, n)
    shoppers["patience"] = rng.normal(0.0, 1.0, n)
    shoppers["caution"] = rng.normal(0.0, 1.0, n)
    shoppers["need"] = rng.normal(0.0, 0.6, n)
    shoppers["loyalty"] = rng.exponential(0.4, n)
    shoppers["taste"] = rng.normal(0.0, 0.6, (n, N_CATEGORIES))
    shoppers["taste"][np.arange(n), rng.integers(0, N_CATEGORIES, n)] += 1.0
    shoppers["style"] = rng.normal(0.0, 0.6, (n, N_STYLES))
    shoppers["on_phone"] = rng.random(n) < _ON_PHONE
    shoppers["channel"] = rng.choice(
        [int(channel) for channel in _CHANNEL_SHARES], n, p=list(_CHANNEL_SHARES.values())
    )
    return shoppers

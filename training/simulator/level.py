"""The shop's level of intent: found by a pilot, so that a wanted conversion rate comes out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from training.simulator.config import ShopConfig
from training.simulator.shoppers import draw_shoppers
from training.simulator.shopping.catalogue import Shop, build_catalogue
from training.simulator.shopping.emission import new_batch
from training.simulator.shopping.lives import live
from training.simulator.shopping.records import ROW, SESSION, VISIT, Records
from training.simulator.shopping.rhythm import DAY_US
from training.simulator.shopping.streams import PILOT, Stream, generator, stream_seeds

_PILOT_DAYS: Final = 14
_PILOT_ARRIVALS: Final = 500
_LOWEST, _HIGHEST = -6.0, 6.0
_HALVINGS: Final = 10


@dataclass(frozen=True)
class Level:
    """Intent that every visit starts from, and new shoppers needed per session of a day."""

    intent: float
    shoppers_per_session: float


def find_level(config: ShopConfig) -> Level:
    """Find the level at which a pilot of the same shop converts as `target_conversion` says.

    The pilot has streams of its own and a fixed size, so that days and traffic of a config don't
    matter.
    """
    return _find(config.seed, config.n_items, config.target_conversion, config.burn_in_days)


@lru_cache(maxsize=32)
def _find(seed: int, n_items: int, target: float, burn_in_days: int) -> Level:
    shop = build_catalogue(seed, n_items, 0.0, 0.0).shop
    days = burn_in_days + _PILOT_DAYS
    shoppers = draw_shoppers(generator(seed, PILOT), 0, days, _PILOT_ARRIVALS)
    streams = stream_seeds(seed, PILOT, np.arange(shoppers.size))
    low, high = _LOWEST, _HIGHEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        sessions = _pilot(shop, shoppers, streams, middle, burn_in_days)
        if sessions["converted"].mean() < target:
            low = middle
        else:
            high = middle
    sessions = _pilot(shop, shoppers, streams, (low + high) / 2, burn_in_days)
    return Level((low + high) / 2, _PILOT_ARRIVALS * _PILOT_DAYS / sessions.size)


def _pilot(
    shop: Shop, shoppers: Records, streams: Stream, intent: float, burn_in_days: int
) -> Records:
    """Live the pilot's lives once; the shoppers given stay as they are."""
    sessions, _, _ = live(
        shop,
        shoppers.copy(),
        streams,
        intent,
        0.0,
        burn_in_days * DAY_US,
        (burn_in_days + _PILOT_DAYS) * DAY_US,
        np.zeros(1, SESSION),
        np.zeros(1, VISIT),
        np.zeros(1, ROW),
        new_batch(),
    )
    return sessions

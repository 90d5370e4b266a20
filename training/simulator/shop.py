"""A simulated shop as it was: sessions, rows and the moments at which a model has to judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.simulator.config import ShopConfig
from training.simulator.level import find_level
from training.simulator.shoppers import draw_shoppers
from training.simulator.shopping.catalogue import Catalogue, build_catalogue
from training.simulator.shopping.codes import Kind
from training.simulator.shopping.emission import new_batch
from training.simulator.shopping.lives import live
from training.simulator.shopping.records import ROW, SESSION, VISIT, Records
from training.simulator.shopping.rhythm import DAY_US
from training.simulator.shopping.streams import SHOPPERS, VISITS, generator, stream_seeds


@dataclass(frozen=True)
class DecisionPoints:
    """Moments before the first purchase of a session: the ends of its batches, in order.

    Arrays of shape (n,): `session` indexes `SimulatedShop.sessions`, `step` counts the session's
    batches from 1, `time_us` is the batch's timestamp, `converts` tells whether the session bought
    later.
    """

    session: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    time_us: npt.NDArray[np.int64]
    converts: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return self.session.size

    def take(self, places: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> DecisionPoints:
        """Keep the points at `places`: indices or a mask."""
        return DecisionPoints(
            self.session[places], self.step[places], self.time_us[places], self.converts[places]
        )


@dataclass(frozen=True)
class SimulatedShop:
    """What happened: record arrays of `records.SHOPPER`, `SESSION`, `VISIT` (openings) and `ROW`.

    `openings[i]` is the hidden state in which session `i` began; `rows` are in the order of
    sessions.
    """

    config: ShopConfig
    catalogue: Catalogue
    shoppers: Records
    sessions: Records
    openings: Records
    rows: Records

    def decision_points(self) -> DecisionPoints:
        """List the decision points of all sessions that end within the export."""
        rows = self.rows
        first_of_batch = np.ones(rows.size, dtype=np.bool_)
        first_of_batch[1:] = (np.diff(rows["session"]) != 0) | (np.diff(rows["step"]) != 0)
        batches = rows[first_of_batch]
        bought_at = np.full(self.sessions.size, np.iinfo(np.int64).max)
        purchases = rows[rows["kind"] == Kind.PURCHASE]
        np.minimum.at(bought_at, purchases["session"], purchases["step"])
        whole = self.sessions["end_us"] < self.config.end_us
        open_still = batches["step"] < bought_at[batches["session"]]
        batches = batches[open_still & whole[batches["session"]]]
        session = batches["session"].astype(np.int64)
        return DecisionPoints(
            session=session,
            step=batches["step"].astype(np.int64),
            time_us=batches["time_us"].astype(np.int64),
            converts=self.sessions["converted"][session] == 1,
        )


def simulate(config: ShopConfig) -> SimulatedShop:
    """Simulate a shop; the same config gives the same shop, bit for bit."""
    habits = config.habits
    catalogue = build_catalogue(
        config.seed, config.n_items, habits.repeated_purchase, habits.unset_order
    )
    level = find_level(config)
    first_day_us = config.start_us - config.burn_in_days * DAY_US
    shoppers = draw_shoppers(
        generator(config.seed, SHOPPERS),
        first_day_us,
        config.burn_in_days + config.days,
        config.sessions_per_day * level.shoppers_per_session,
    )
    streams = stream_seeds(config.seed, VISITS, np.arange(shoppers.size))
    sessions, openings, rows = live(
        catalogue.shop,
        shoppers,
        streams,
        level.intent,
        habits.parallel_session,
        config.start_us,
        config.end_us,
        np.zeros(1, SESSION),
        np.zeros(1, VISIT),
        np.zeros(1, ROW),
        new_batch(),
    )
    return SimulatedShop(config, catalogue, shoppers, sessions, openings, rows)

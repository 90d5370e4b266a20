"""Playing the future of a visit many times, from any of its steps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.simulator.shopping.catalogue import Shop
from training.simulator.shopping.compiled import compiled
from training.simulator.shopping.emission import Batch
from training.simulator.shopping.records import Records
from training.simulator.shopping.streams import Stream
from training.simulator.shopping.visit import step


@compiled
def roll_out(
    shop: Shop,
    shoppers: Records,
    sessions: Records,
    openings: Records,
    session: npt.NDArray[np.int64],
    steps: npt.NDArray[np.int64],
    streams: Stream,
    n_rollouts: int,
    batch: Batch,
) -> npt.NDArray[np.float64]:
    """Give the share of futures with a purchase for each of n points, shape (n,).

    Point p is the state of session `session[p]` after `steps[p]` steps, which is reached by
    replaying it from its opening on its own stream; its futures draw from `streams[p]` instead.
    """
    shares = np.empty(session.size, np.float64)
    visits = np.zeros(2, openings.dtype)
    rng = np.empty(1, np.uint64)
    for p in range(session.size):
        shopper = shoppers[sessions[session[p]]["shopper"]]
        visits[0] = openings[session[p]]
        rng[0] = sessions[session[p]]["stream"]
        for _ in range(steps[p]):
            step(shop, shopper, visits[0], rng, batch)
        rng[0] = streams[p]
        bought = 0
        for _ in range(n_rollouts):
            visits[1] = visits[0]
            while visits[1]["ended"] == 0 and visits[1]["converted"] == 0:
                step(shop, shopper, visits[1], rng, batch)
            bought += visits[1]["converted"]
        shares[p] = bought / n_rollouts
    return shares

"""The true probability that a visit converts, by playing its future many times.

It knows all that the simulator knows at that moment, the hidden traits and moods included. The best
that a model can reach is its expectation given what can be observed, which is less sharp.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from micromoment.errors import InvalidSettingError
from training.simulator.shop import DecisionPoints, SimulatedShop
from training.simulator.shopping.emission import new_batch
from training.simulator.shopping.roll_out import roll_out
from training.simulator.shopping.streams import ROLL_OUTS, stream_seeds


def true_conversion(
    shop: SimulatedShop, points: DecisionPoints, n_rollouts: int = 200
) -> npt.NDArray[np.float64]:
    """Estimate P(purchase later in the session | the hidden state) at each decision point.

    Each point's visit is replayed on its own stream up to the point and then played on `n_rollouts`
    times with fresh luck. Returns shares of shape (len(points),), a multiple of 1 / n_rollouts
    each; the standard error is sqrt(p (1 - p) / n_rollouts). A point's result doesn't depend on the
    other points.
    """
    if n_rollouts < 1:
        raise InvalidSettingError("n_rollouts", "must be at least 1")
    streams = stream_seeds(shop.config.seed, ROLL_OUTS, points.session, points.step)
    return roll_out(
        shop.catalogue.shop,
        shop.shoppers,
        shop.sessions,
        shop.openings,
        points.session,
        points.step,
        streams,
        n_rollouts,
        new_batch(),
    )

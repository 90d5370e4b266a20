"""A made-up shop's scored events, whose true probabilities are known."""

import numpy as np
import pandas as pd


def made_up_scores(n_visitors: int, seed: int = 0) -> pd.DataFrame:
    """Make visits of 1 to 60 events, one batch each, of visitors with 1 to 3 visits.

    `conversion` is near the true probability, `baseline` far from it; buyers' last tenth of the
    visit is after the order.
    """
    rng = np.random.default_rng(seed)
    visits = rng.integers(1, 4, n_visitors)
    visitor = np.repeat(np.arange(n_visitors), visits)
    taste = np.repeat(rng.normal(0, 1, n_visitors), visits) + rng.normal(0, 0.5, len(visitor))
    length = np.clip(rng.geometric(0.08, len(visitor)) + (taste > 1) * 8, 1, 60)
    true = 1 / (1 + np.exp(4.0 - 1.5 * taste))
    buys = rng.random(len(visitor)) < true
    session = np.repeat(np.arange(len(visitor)), length)
    place = np.arange(len(session)) - np.repeat(np.cumsum(length) - length, length)
    order_at = np.where(buys, np.maximum(np.ceil(length * 0.9) - 1, 1), length + 1)[session]
    converted = place >= order_at
    raw = -4.0 + 1.5 * taste[session]
    noise = rng.normal(0, 1, (2, len(session)))
    frame = pd.DataFrame(
        {
            "session_id": [f"s{s}" for s in session],
            "visitor_id": [f"v{v}" for v in visitor[session]],
            "epoch": 0,
            "source_seq": place + 1,
            "batch_last": True,
            "events_seen": place + 1,
            "event_time": pd.to_datetime(
                (1_609_718_400 + session * 7 % 600_000 + place * 30) * 1_000_000,
                unit="us",
                utc=True,
            ),
            "conversion": 1 / (1 + np.exp(-(raw + 0.3 * noise[0]))),
            "baseline": 1 / (1 + np.exp(-(raw * 0.3 - 2.8 + 0.8 * noise[1]))),
            "converted": converted,
            "after_order": False,
            "label": buys[session] & ~converted,
        }
    )
    frame.loc[converted, ["conversion", "baseline"]] = np.nan
    return frame

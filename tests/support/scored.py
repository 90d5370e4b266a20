"""A made-up shop's scored events and customers, whose true probabilities are known."""

from datetime import date

import numpy as np
import pandas as pd

from training.churn.judging import ChurnEvaluation, judge
from training.churn.rows import ChurnRows
from training.churn.target import Target


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


def made_up_churn(customers: int = 200) -> ChurnEvaluation:
    """Judge customers at three cuts: the model is near the truth, recency guesses."""
    random = np.random.default_rng(2)
    n = 3 * customers
    truth = random.random(n)
    days = [date(2024, 5, day).toordinal() for day in (1, 8, 15)]
    rows = ChurnRows(
        features=np.stack([truth, 1 + np.arange(n) % 2], axis=1).astype(np.float32),
        feature_names=("customer_orders", "customer_order_days"),
        label=random.random(n) < truth,
        visitor=(np.arange(n) % customers).astype(np.uint64),
        cut=np.repeat(days, customers),
        orders=np.zeros(n),
        value=np.zeros(n),
    )
    curve = {"days": [0.0, 10.0], "share": [1.0, 0.5], "low": [1.0, 0.4], "high": [1.0, 0.6]}
    scores = {
        "model": truth,
        "recency": random.random(n),
        "bg_nbd": np.clip(truth + 0.01, 0, 1),
    }
    target = Target("purchase", 14)
    return judge(rows, scores, target, bootstrap=40, seed=1, time_to_next_order=curve)

"""Made-up decision points whose levels of depth are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest

from micromoment.features.catalogue import CONVERSION_FEATURES
from training.models.rows import DecisionRows

# Of a visit of each level: points, and at the last of them what was counted.
LEVELS: Final = {
    "bouncers": (2, {}),
    "window-shoppers": (5, {"n_item_views": 5, "duration_s": 200, "n_page_views": 5}),
    "deep-shoppers": (
        60,
        {"n_item_views": 40, "duration_s": 3_000, "n_page_views": 40, "n_list_views": 30},
    ),
}


def _shop(visits: int, seed: int = 0) -> tuple[DecisionRows, np.ndarray]:
    """Make visits, six of ten bouncers, three window-shoppers; gives each row's level as well."""
    random = np.random.default_rng(seed)
    level = random.choice(len(LEVELS), visits, p=[0.6, 0.3, 0.1])
    rows, sessions, levels = [], [], []
    for visit, kind in enumerate(level.tolist()):
        points, ends = list(LEVELS.values())[kind]
        for point in range(1, points + 1):
            done = point / points
            values = {name: random.poisson(value * done) for name, value in ends.items()}
            values |= {"n_events": point, "is_bounce_so_far": float(kind == 0)}
            values["n_page_views"] = max(values.get("n_page_views", 1), 1)
            rows.append([float(values.get(name, 0)) for name in CONVERSION_FEATURES])
            sessions.append(visit)
            levels.append(kind)
    features = np.array(rows, np.float32)
    session = np.array(sessions, np.int64)
    data = DecisionRows(
        features=features,
        feature_names=CONVERSION_FEATURES,
        label=np.zeros(len(rows), np.bool_),
        events_seen=features[:, CONVERSION_FEATURES.index("n_events")].astype(np.int64),
        session=session,
        visitor=session,
        day=np.full(len(rows), 737_000),
    )
    return data, np.array(levels)


@pytest.fixture(scope="session")
def shop() -> Callable[..., tuple[DecisionRows, np.ndarray]]:
    """The maker of shops: `shop(visits, seed)` gives decision points and each one's level."""
    return _shop

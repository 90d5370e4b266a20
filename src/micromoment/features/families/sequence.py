"""The order of what happened: transitions between event groups, and the last groups.

Transitions are counted over the 16 groups of `EventGroup`, each up to 255; the first symbol comes
from group OTHER. The ring keeps the last 32 symbols.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.vocabulary import N_EVENT_GROUPS
from micromoment.features._compile import compiled
from micromoment.features.spec import FeatureSpec

RING = 32

STATE_FIELDS = [
    ("transitions", "u1", (N_EVENT_GROUPS, N_EVENT_GROUPS)),
    ("symbols", "u1", (RING,)),
    ("n_symbols", "i4"),
]

FEATURES = (
    FeatureSpec("transition_llr", "nats", "log-likelihood ratio of the path, buyers over others"),
    FeatureSpec("transition_llr_mean", "nats", "the same per transition", "no symbol"),
    FeatureSpec("last_group", "code", "group of the last event, EventGroup", "no symbol"),
    FeatureSpec("last_group_2", "code", "group of the event before", "fewer symbols"),
    FeatureSpec("last_group_3", "code", "group of the one before that", "fewer symbols"),
)

_BYTE_CAP = 255


@compiled
def observe(state: Any, group: int) -> None:
    """Fold one event's group; a negative one, of an event without a symbol, changes nothing."""
    if group < 0:
        return
    count = state["n_symbols"]
    before = np.int64(state["symbols"][(count - 1) % RING]) if count > 0 else 0
    if state["transitions"][before, group] < _BYTE_CAP:
        state["transitions"][before, group] += 1
    state["symbols"][count % RING] = group
    state["n_symbols"] = count + 1


@compiled
def describe(state: Any, transition_llr: Any, out: Any) -> None:
    """Write the family's features; `transition_llr` is one fold's table, shape (16, 16)."""
    count = state["n_symbols"]
    total = 0.0
    transitions = state["transitions"]
    for before in range(N_EVENT_GROUPS):
        for after in range(N_EVENT_GROUPS):
            total += transitions[before, after] * transition_llr[before, after]
    symbols = state["symbols"]
    out["transition_llr"] = total
    out["transition_llr_mean"] = total / count if count > 0 else np.nan
    out["last_group"] = symbols[(count - 1) % RING] if count > 0 else np.nan
    out["last_group_2"] = symbols[(count - 2) % RING] if count > 1 else np.nan
    out["last_group_3"] = symbols[(count - 3) % RING] if count > 2 else np.nan

"""The order of what happened: transitions between event groups, and the last groups.

Transitions are counted over the 16 groups of `EventGroup`, each up to 255; the first symbol comes
from group OTHER. The ring keeps the last 32 symbols.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from micromoment.events.vocabulary import N_EVENT_GROUPS
from micromoment.features import wording
from micromoment.features._compile import compiled
from micromoment.features.spec import FeatureSpec

RING = 32

STATE_FIELDS = [
    ("transitions", "u1", (N_EVENT_GROUPS, N_EVENT_GROUPS)),
    ("symbols", "u1", (RING,)),
    ("n_symbols", "i4"),
]
# Least 0, greatest this: kernels take them for places, ends of loops, codes and times.
STATE_CAPS = {"symbols": N_EVENT_GROUPS - 1, "n_symbols": 2**31 - 1}

_STEPS = {
    0: "something else",
    1: "the front page",
    2: "a page to read",
    3: "a list of products",
    4: "a search",
    5: "a look at a product",
    6: "a click on a product",
    7: "a promotion",
    8: "scrolling or the like",
    9: "the wish list",
    10: "an addition to the cart",
    11: "a removal from the cart",
    12: "a look at the cart",
    13: "the checkout",
    14: "the payment",
    15: "the account",
}

FEATURES = (
    FeatureSpec("transition_llr", "nats", "log-likelihood ratio of the path, buyers over others",
                group="path", says=wording.learned("The way through the shop so far is {}")),
    FeatureSpec("transition_llr_mean", "nats", "the same per transition", "no symbol",
                group="path", says=wording.learned("The average step of this visit is {}",
                    "Nothing but the start of the visit so far")),
    FeatureSpec("last_group", "code", "group of the last event, EventGroup", "no symbol",
                group="path", says=wording.code("The last step was {}", _STEPS,
                    "Nothing but the start of the visit so far")),
    FeatureSpec("last_group_2", "code", "group of the event before", "fewer symbols",
                group="path", says=wording.code("The step before the last was {}", _STEPS,
                    "No step before the last")),
    FeatureSpec("last_group_3", "code", "group of the one before that", "fewer symbols",
                group="path", says=wording.code("Two steps before the last came {}", _STEPS,
                    "Fewer than three steps so far")),
)  # fmt: skip

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

"""What every session has: its clock, its visitor, its last event ids. Feeds the other families."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from micromoment.events.limits import LAST_SECOND
from micromoment.events.record import (
    FLAG_ADS_DENIED,
    FLAG_ADS_GRANTED,
    FLAG_PERSONALIZATION_DENIED,
    FLAG_PERSONALIZATION_GRANTED,
    FLAG_PRIVACY_CONTROL,
)
from micromoment.features._compile import compiled

# A duplicate is known by 32 bits of its id's hash among the session's last 256 events.
REMEMBERED_EVENTS: Final = 256

STATE_FIELDS = [
    ("events_seen", "i8"),  # accepted events of this epoch, confirmation pages included
    ("epoch", "u4"),  # how often a gap started the session afresh
    ("first_time", "i8"),  # feature times, microseconds since 1970
    ("last_time", "i8"),
    ("folded_time", "i8"),  # of the last event that was no confirmation page
    ("visitor", "u8"),
    ("converted", "u1"),
    ("foreign_currency", "u1"),
    ("state_lost", "u1"),  # earlier events of this epoch were known once and are lost
    ("consent", "u1"),  # what the session last said, as `CONSENT_FLAGS`; outlives an epoch
    ("recent_keys", "u4", (REMEMBERED_EVENTS,)),
    ("n_remembered", "i8"),
]
# Least 0, greatest this: kernels take them for places, ends of loops, codes and times.
STATE_CAPS = {
    "events_seen": 2**63 - 1,
    "epoch": 2**31 - 1,
    "first_time": LAST_SECOND * 1_000_000,
    "last_time": LAST_SECOND * 1_000_000,
    "folded_time": LAST_SECOND * 1_000_000,
    "n_remembered": 2**63 - 1,
}

_PERSONALIZATION = FLAG_PERSONALIZATION_DENIED | FLAG_PERSONALIZATION_GRANTED
_ADS = FLAG_ADS_DENIED | FLAG_ADS_GRANTED
_CONTROL = FLAG_PRIVACY_CONTROL
_ADS_GRANTED = FLAG_ADS_GRANTED
_KEY_BITS = np.uint64(0xFFFF_FFFF)


@compiled
def short_key(event_key: int) -> int:
    """Give the 32 bits of an event's key that are remembered."""
    return np.uint32(np.uint64(event_key) & _KEY_BITS)  # type: ignore[return-value] # as in Numba


@compiled
def is_duplicate(state: Any, event: Any) -> bool:
    """Tell whether the event's id is among those remembered."""
    key = short_key(event["event_key"])
    keys = state["recent_keys"]
    matches = 0
    for slot in range(min(state["n_remembered"], REMEMBERED_EVENTS)):
        matches += keys[slot] == key
    return matches > 0


@compiled
def consent_after(consent: int, flags: int) -> int:
    """Give what a session says of consent, once an event with such flags has said its part.

    Each purpose keeps its last answer. Global Privacy Control holds until ads are granted without.
    """
    known, said = int(consent), int(flags)
    if said & _PERSONALIZATION:
        known = (known & ~_PERSONALIZATION) | (said & _PERSONALIZATION)
    if said & _ADS:
        known = (known & ~_ADS) | (said & _ADS)
    if said & _CONTROL:
        known |= _CONTROL
    elif said & _ADS_GRANTED:
        known &= ~_CONTROL
    return known


@compiled
def remember(state: Any, event: Any) -> None:
    """Add the event's id to those remembered, in the place of the oldest."""
    state["recent_keys"][state["n_remembered"] % REMEMBERED_EVENTS] = short_key(event["event_key"])
    state["n_remembered"] += 1


@compiled
def feature_time(state: Any, event: Any, skew_us: int) -> int:
    """Give the event's feature time: its own, not ahead of the server's clock, never backwards."""
    time = min(event["event_time"], event["received_time"] + skew_us)
    return max(time, state["last_time"]) if state["events_seen"] > 0 else time

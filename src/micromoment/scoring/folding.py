"""Folding a call's events into its session without scoring: the same for a call and for its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from micromoment.events.record import RecordArray
from micromoment.features import reducer
from micromoment.features.session import fold_batch
from micromoment.features.state import new_state
from micromoment.features.user_snapshot import UserStatus, no_lookup
from micromoment.scoring.calls import ScoreCall
from micromoment.scoring.sessions import SessionEntry

NOT_LOOKED_UP: Final = no_lookup(UserStatus.UNAVAILABLE)


@dataclass(slots=True)
class FoldedState:
    """A session's state after a call, shape (1,), how many events were new, the last one's id."""

    state: RecordArray
    accepted: int
    last_event_id: str

    def entry(self) -> SessionEntry:
        """Make the session as it is to be kept."""
        return SessionEntry.of(self.state, self.last_event_id)


def fold_call(
    call: ScoreCall, entry: SessionEntry | None, *, lost: bool, expiry_us: int, skew_us: int
) -> FoldedState:
    """Fold a call's events into a copy of its session, by the gap and the skew of some bundle."""
    state = new_state() if entry is None else entry.copied_state()
    if is_lost(call, entry, lost):
        state[0]["state_lost"] = True
    outcomes = fold_batch(state, call.batch, call.user or NOT_LOOKED_UP, expiry_us, skew_us)
    accepted = np.flatnonzero(outcomes != reducer.DUPLICATE)
    last = entry.last_event_id if entry else ""
    if len(accepted):
        last = call.event_ids[int(accepted[-1])]
    return FoldedState(state, len(accepted), last)


def is_lost(call: ScoreCall, entry: SessionEntry | None, lost: bool) -> bool:
    """Tell whether a session lacks events: `lost` says so, or the caller's numbers do."""
    return lost or (entry is None and (call.first_sequence or 1) > 1)

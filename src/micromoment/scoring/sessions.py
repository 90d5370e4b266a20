"""What is kept of a session between two calls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from micromoment.events.record import RecordArray
from micromoment.features.state import STATE


@dataclass(slots=True)
class SessionEntry:
    """One session: the bytes of one `STATE` record. Its last scores follow from them."""

    data: bytes
    last_event_id: str

    @classmethod
    def of(cls, state: RecordArray, last_event_id: str) -> SessionEntry:
        """Make one of a state of shape (1,), of any format."""
        return cls(state.tobytes(), last_event_id)

    def copied_state(self) -> RecordArray:
        """Give the state, shape (1,), to be changed: by its bytes, NumPy would go by its fields."""
        return np.frombuffer(bytearray(self.data), STATE)

    @property
    def state(self) -> RecordArray:
        """The state, shape (1,), dtype `STATE`, to be read only."""
        return np.frombuffer(self.data, STATE)

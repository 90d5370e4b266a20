"""What is kept of a session between two calls."""

from __future__ import annotations

from dataclasses import dataclass

from micromoment.events.record import RecordArray


@dataclass(slots=True)
class SessionEntry:
    """One session: `state` has shape (1,) and dtype `STATE`. Its last scores follow from it."""

    state: RecordArray
    last_event_id: str

"""What is kept of a session between two calls, and what the scorer needs of the keeper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from micromoment.events.record import RecordArray
from micromoment.scoring.calls import SessionKey


@dataclass(slots=True)
class SessionEntry:
    """One session: `state` has shape (1,) and dtype `STATE`. Its last scores follow from it."""

    state: RecordArray
    last_event_id: str


class SessionStore(Protocol):
    """Keeps sessions, bounded in number. Calls never wait, so that a fold is never torn apart."""

    def get(self, key: SessionKey) -> SessionEntry | None:
        """Give a copy that the caller owns; changing it changes nothing before `put`."""

    def put(self, key: SessionKey, entry: SessionEntry) -> None:
        """Keep a copy of `entry`; the least recently used session makes room."""

    def was_evicted(self, key: SessionKey) -> bool:
        """Tell whether the session was known once and lost, as far as that is remembered."""

    def __len__(self) -> int:
        """Count the sessions kept."""

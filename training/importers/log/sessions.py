"""Which session of the import a logged call belongs to, and which sessions can't be used.

A session is what the server folded into one state: it ends where the server began another one under
the same id. A session of which the log lacks events, or which the server had lost, is no example of
anything that a model will see, so all of it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from micromoment.features.families.core import REMEMBERED_EVENTS
from micromoment.scoring.calls import SessionKey
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.v1 import events_pb2, log_pb2

# Between looks for sessions that are over, whose event ids need not be remembered any longer.
_SWEEP_ROWS: Final = 200_000
_OVER_US: Final = 24 * 3_600_000_000


class Lacking(StrEnum):
    """Why a session is left out."""

    GAP = "gap"  # the log took nothing for a while
    BEGINNING = "beginning_missing"  # the log no longer has it, or never had it
    STATE_LOST = "state_lost"  # the server had lost the session's earlier events
    ERASED = "erased"  # its visitor had it erased or withdrew the consent to keep it


@dataclass(slots=True)
class LoggedSession:
    """One session: its number, its name in the import, and what its last event left.

    `lacking` says why it is left out. `places` counts its events, duplicates included; `epoch`
    counts the gaps that ended a visit; `feature_time_us` is that of the last event that counted.
    """

    number: int
    name: str
    lacking: Lacking | None = None
    places: int = 0
    epoch: int = 0
    feature_time_us: int | None = None
    called_us: int = 0
    expiry_us: int = 0
    after_gap: bool = False
    remembered: dict[str, None] = field(default_factory=dict)

    def move_to(self, event_time_us: int, received_time_us: int, skew_us: int) -> int:
        """Carry the feature time on to an event that counts, and give it; all in microseconds."""
        moment = min(event_time_us, received_time_us + skew_us)
        before = self.feature_time_us
        if before is not None:
            self.epoch += moment - before > self.expiry_us
            moment = max(moment, before)
        self.feature_time_us = moment
        return moment

    def is_repeated(self, event_id: str) -> bool:
        """Tell whether the event is among those that the server remembered; remember it if not."""
        if event_id in self.remembered:
            return True
        self.remembered[event_id] = None
        if len(self.remembered) > REMEMBERED_EVENTS:
            del self.remembered[next(iter(self.remembered))]
        return False


class LoggedSessions:
    """Follows the sessions of a log whose rows are given in order of arrival."""

    def __init__(self) -> None:
        self.all: list[LoggedSession] = []
        self._open: dict[SessionKey, LoggedSession] = {}
        self._over: dict[SessionKey, list[LoggedSession]] = {}  # under ids that came again
        self._last_us = 0
        self._rows = 0

    def gap(self, visit: LoggedVisit) -> None:
        """Take note that events of a session are missing or, without a session, of anybody's."""
        if visit.session_id:
            self._lacks(visit, Lacking.GAP)
            return
        # What was lost came after the last row that was kept, however late the gap was noted.
        for session in self._open.values():
            if session.called_us >= self._last_us - session.expiry_us:
                session.lacking = session.lacking or Lacking.GAP
            else:
                session.after_gap = True

    def erased(self, visit: LoggedVisit) -> None:
        """Take note that a session was erased; a row without one says nothing of any."""
        key = visit.key
        now = [self._open.pop(key)] if key in self._open else []
        for session in (*now, *self._over.pop(key, ())):
            session.lacking = Lacking.ERASED
            session.remembered = {}

    def of(self, visit: LoggedVisit, logged: log_pb2.LoggedCall) -> LoggedSession:
        """Give the session of a call that has events."""
        session = self._open.get(visit.key)
        if visit.kind == RowKind.BEGAN:
            session = self._begin(visit, logged, session)
        elif session is None:
            session = self._lacks(visit, Lacking.BEGINNING)
        elif session.after_gap:
            session.lacking = session.lacking or Lacking.GAP
        session.called_us = self._last_us = visit.received_time_us
        session.expiry_us = logged.session_expiry_us
        self._rows += 1
        if self._rows % _SWEEP_ROWS == 0:
            self._forget_over()
        return session

    def outside(self, name: str) -> LoggedSession:
        """Make the session of an event outside a visit."""
        return self._add(name)

    def left_out(self) -> Iterator[tuple[Lacking, int]]:
        """Count the sessions that are left out, by reason."""
        for reason in Lacking:
            found = sum(session.lacking is reason for session in self.all)
            if found:
                yield reason, found

    def _begin(
        self, visit: LoggedVisit, logged: log_pb2.LoggedCall, before: LoggedSession | None
    ) -> LoggedSession:
        session = self._add(visit.session_id if before is None else _name(visit))
        self._open[visit.key] = session
        if before is not None:
            before.remembered = {}
            self._over.setdefault(visit.key, []).append(before)
        if logged.lost:
            # An order to come after the loss is one of the part before it, too.
            for part in (before, session):
                if part is not None:
                    part.lacking = part.lacking or Lacking.STATE_LOST
        elif _first_sequence(logged.events[0]) > 1:
            session.lacking = Lacking.BEGINNING
        return session

    def _lacks(self, visit: LoggedVisit, reason: Lacking) -> LoggedSession:
        session = self._open.get(visit.key)
        if session is None:
            session = self._open[visit.key] = self._add(_name(visit))
        session.lacking = session.lacking or reason
        return session

    def _add(self, name: str) -> LoggedSession:
        session = LoggedSession(len(self.all), name)
        self.all.append(session)
        return session

    def _forget_over(self) -> None:
        for session in self._open.values():
            if session.called_us < self._last_us - _OVER_US:
                session.remembered = {}


def _name(visit: LoggedVisit) -> str:
    return f"{visit.session_id}~{visit.position}"


def _first_sequence(event: events_pb2.Event) -> int:
    return event.sequence if event.HasField("sequence") else 1

"""Reads a log once: stages its events as rows, and counts them by session."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from micromoment.errors import InvalidDataError
from micromoment.events.proto_codec import micros_of
from micromoment.events.shop import Shop
from micromoment.stores.erasure_list import ErasureList
from micromoment.stores.event_log import LoggedEvent
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.v1 import events_pb2, log_pb2
from training.consented import REASON as ANALYTICS_DENIED
from training.importers.denials import Denial
from training.importers.log.rows import Row, event_row
from training.importers.log.sessions import Lacking, LoggedSession, LoggedSessions
from training.importers.log.source import LogSource
from training.importers.log.stage import DayStage
from training.importers.progress import ProgressHook
from training.importers.tally import Tally
from training.importers.visits.rows import DayRange

DUPLICATE: Final = "duplicate_event"
REPEATED: Final = "repeated_purchase"
OUTSIDE_DAYS: Final = "outside_days"
_DENIED: Final = events_pb2.CONSENT_STATE_DENIED
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PURCHASE: Final = events_pb2.EVENT_TYPE_PURCHASE
_SHOWN_ROWS: Final = 50_000
_WHY: Final = {
    Lacking.GAP: "the log took nothing for a while",
    Lacking.BEGINNING: "their beginning is not in the log",
    Lacking.STATE_LOST: "the server had lost what came before",
    Lacking.ERASED: "they were erased",
}

BoolArray = npt.NDArray[np.bool_]
# Arrival, visits before others, part, row: by these the rows of a log are in order.
_Placed = tuple[int, int, int, int, LoggedVisit | LoggedEvent]


@dataclass(slots=True)
class _Counts:
    """Events of one session in one part of the log, by what becomes of them if it is usable."""

    first_row: int
    kept: int = 0
    outside_days: int = 0
    repeated: int = 0
    denied: int = 0

    @property
    def all(self) -> int:
        return self.kept + self.outside_days + self.repeated + self.denied


@dataclass
class LogReader:
    """Reads a log once. `time_zone` is the shop's; without one it is the log's own."""

    source: LogSource
    folder: Path
    time_zone: str
    days: DayRange
    erasures: ErasureList = field(default_factory=ErasureList)
    purchases: int = 0
    _sessions: LoggedSessions = field(default_factory=LoggedSessions)
    _counts: dict[tuple[int, int], _Counts] = field(default_factory=dict)  # session, part
    _rows: Counter[int] = field(default_factory=Counter)
    _visitors: dict[int, str] = field(default_factory=dict)  # of each session, the last one
    _ordering: set[int] = field(default_factory=set)  # sessions with a purchase
    _orders: dict[str, list[int]] = field(default_factory=dict)  # visits by order
    _outside: dict[int, str] = field(default_factory=dict)  # order of each session outside a visit
    _identified: set[str] = field(default_factory=set)
    denials: list[Denial] = field(default_factory=list)
    _gaps: int = 0

    def __post_init__(self) -> None:
        self._visits = iter(self.source.visits)
        self._any_zone = bool(self.time_zone)
        self.stage = DayStage(self.folder)

    def read(self, show: ProgressHook) -> None:
        """Read the log to its end.

        Raises `InvalidDataError` for a call that can't be read, for one of another time zone, and
        for a log without calls where no time zone is given.
        """
        visits = self._with_zone()
        if not self.time_zone:
            raise InvalidDataError(
                f"event log {', '.join(map(str, self.source.parts))}",
                "holds no call of a visit: nothing was served yet, or folder or --session-prefix"
                " is another; for events from outside visits alone give --time-zone",
            )
        self._zone = Shop(time_zone=self.time_zone).zone
        rows = heapq.merge(_placed(visits), _placed_outside(self.source.outside))
        with self.stage:
            for number, (_, _, part, row, item) in enumerate(rows, start=1):
                if isinstance(item, LoggedVisit):
                    self._take_visit(part, item)
                else:
                    self._take_outside(part, row, item)
                if number % _SHOWN_ROWS == 0:
                    show("calls", number, number)

    def usable(self) -> BoolArray:
        """Mark by number the sessions that are kept."""
        usable = np.array([one.lacking is None for one in self._sessions.all], np.bool_)
        told: set[str] = set()
        for number, order_id in self._outside.items():
            # A visit that tells of the order is enough, and so is one of those outside.
            if order_id in told or any(usable[one] for one in self._orders.get(order_id, ())):
                usable[number] = False
            elif order_id:
                told.add(order_id)
        return usable

    def count(self, tally: Tally, usable: BoolArray) -> None:
        """Account for all rows but those that are kept."""
        for part, rows in self._rows.items():
            tally.add_read(part, rows)
        for (number, part), found in self._counts.items():
            lacking = self._sessions.all[number].lacking
            if lacking is not None:
                counts = [("dropped", str(lacking), found.all)]
            else:
                counts = [
                    ("merged", DUPLICATE, found.repeated),
                    ("merged", REPEATED, 0 if usable[number] else found.kept),
                    ("dropped", OUTSIDE_DAYS, found.outside_days),
                    ("dropped", ANALYTICS_DENIED, found.denied),
                ]
            for kind, reason, rows in counts:
                if rows:
                    tally.add(kind, [(part, reason, rows, found.first_row)])

    def totals(self, usable: BoolArray) -> tuple[int, int, int]:
        """Count visitors and visits that are kept, and visits with a purchase that were read."""
        kept = [number for number in np.flatnonzero(usable).tolist() if number in self._visitors]
        visitors = {self._visitors[number] for number in kept}
        visits = sum(number not in self._outside for number in kept)
        return len(visitors), visits, len(self._ordering - self._outside.keys())

    def notes(self) -> list[str]:
        """Say which sessions are left out."""
        left_out = [
            f"{count:,} sessions are left out ({reason}): {_WHY[reason]}"
            for reason, count in self._sessions.left_out()
        ]
        gaps = [f"gaps in the log: {self._gaps:,}"] if self._gaps else []
        return [*gaps, *left_out, *self.source.left_out()]

    def _with_zone(self) -> Iterator[tuple[int, LoggedVisit]]:
        """Find the time zone that the first call names, where none was given."""
        first = []
        for part, visit in self._visits:
            first.append((part, visit))
            if self._any_zone or visit.kind not in {RowKind.GAP, RowKind.ERASED}:
                self.time_zone = self.time_zone or _parsed(visit).time_zone
                break
        return chain(first, self._visits)

    def _take_visit(self, part: int, visit: LoggedVisit) -> None:
        if visit.kind == RowKind.GAP:
            self._gaps += 1
            self._sessions.gap(visit)
            return
        if visit.kind == RowKind.ERASED:
            self._sessions.erased(visit)
            return
        logged = _parsed(visit)
        if not logged.events:
            return
        if not self._any_zone and logged.time_zone != self.time_zone:
            raise InvalidDataError(
                f"event log, row {visit.position}",
                f"is of a shop in {logged.time_zone}, earlier ones in {self.time_zone}:"
                " say which one counts (--time-zone)",
            )
        session = self._sessions.of(visit, logged)
        self._leave_out_erased(session, visit.visitor_id, logged.events)
        self._visitors[session.number] = visit.visitor_id
        if logged.identified:
            self._identified.add(visit.visitor_id)
        counts = self._counted(session, part, visit.position, len(logged.events))
        for event in logged.events:
            self._take_event(part, visit, logged, session, event, counts)

    def _take_event(
        self,
        part: int,
        visit: LoggedVisit,
        logged: log_pb2.LoggedCall,
        session: LoggedSession,
        event: events_pb2.Event,
        counts: _Counts,
    ) -> None:
        session.places += 1
        if event.consent.analytics == _DENIED:
            self._deny(counts, visit.visitor_id, micros_of(event.event_time))
            return
        if event.type == _PURCHASE:
            self.purchases += 1
            self._ordering.add(session.number)
            if event.order_id:
                self._orders.setdefault(event.order_id, []).append(session.number)
        if session.is_repeated(event.event_id):
            counts.repeated += 1
            return
        moment = session.move_to(
            micros_of(event.event_time), visit.received_time_us, logged.max_clock_skew_us
        )
        row = event_row(
            event,
            session_id=session.name,
            source_seq=session.places,
            visitor_id=visit.visitor_id,
            identified=logged.identified,
            received_time_us=visit.received_time_us,
        )
        # By feature time, which never runs backwards: so days keep a session's order of arrival.
        self._stage(part, session, moment, row, counts)

    def _take_outside(self, part: int, number: int, logged: LoggedEvent) -> None:
        try:
            event = events_pb2.Event.FromString(logged.event)
        except DecodeError as error:
            raise InvalidDataError(f"{self.source.parts[part]}, row {number}", str(error)) from None
        session = self._sessions.outside(f"{logged.visitor_id}.{event.event_id}")
        counts = self._counted(session, part, number, 1)
        if event.consent.analytics == _DENIED:
            self._deny(counts, logged.visitor_id, micros_of(event.event_time))
            self._outside[session.number] = ""
            return
        is_order = event.type == _PURCHASE
        self._outside[session.number] = event.order_id if is_order else ""
        self._leave_out_erased(session, logged.visitor_id, [event])
        self._visitors[session.number] = logged.visitor_id
        self.purchases += is_order
        row = event_row(
            event,
            session_id=session.name,
            source_seq=1,
            visitor_id=logged.visitor_id,
            identified=logged.visitor_id in self._identified,
            received_time_us=logged.received_time_us,
        )
        self._stage(part, session, micros_of(event.event_time), row, counts)

    def _leave_out_erased(
        self, session: LoggedSession, visitor_id: str, events: Iterable[events_pb2.Event]
    ) -> None:
        until = self.erasures.until(visitor_id) if self.erasures else 0
        if until and any(micros_of(event.event_time) <= until for event in events):
            session.lacking = Lacking.ERASED

    def _stage(
        self, part: int, session: LoggedSession, time_us: int, row: Row, counts: _Counts
    ) -> None:
        day = _day(time_us, self._zone)
        first, last = self.days.first, self.days.last
        if (first is None or day >= first) and (last is None or day <= last):
            counts.kept += 1
            self.stage.add(day, session.number, part, row)
        else:
            counts.outside_days += 1

    def _deny(self, counts: _Counts, visitor_id: str, time_us: int) -> None:
        counts.denied += 1
        if visitor_id:
            self.denials.append((visitor_id, _day(time_us, self._zone), time_us))

    def _counted(self, session: LoggedSession, part: int, row: int, events: int) -> _Counts:
        self._rows[part] += events
        key = (session.number, part)
        found = self._counts.get(key)
        if found is None:
            found = self._counts[key] = _Counts(row)
        return found


def _placed(visits: Iterable[tuple[int, LoggedVisit]]) -> Iterator[_Placed]:
    for part, visit in visits:
        yield visit.received_time_us, 0, part, visit.position, visit


def _placed_outside(events: Iterable[tuple[int, int, LoggedEvent]]) -> Iterator[_Placed]:
    for part, number, event in events:
        yield event.received_time_us, 1, part, number, event


def _parsed(visit: LoggedVisit) -> log_pb2.LoggedCall:
    try:
        return visit.call()
    except DecodeError as error:
        raise InvalidDataError(f"event log, row {visit.position}", str(error)) from None


def _day(time_us: int, zone: ZoneInfo) -> date:
    return (_EPOCH + timedelta(microseconds=time_us)).astimezone(zone).date()

"""The scores that a log holds, with what became of their visits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from micromoment.errors import InvalidDataError
from micromoment.events.proto_codec import micros_of
from micromoment.stores.event_log import LoggedEvent
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.v1 import events_pb2, log_pb2
from training.importers.log.sessions import LoggedSession, LoggedSessions

# Vectors that are kept of a day and a bundle, drawn evenly: drift needs no more.
VECTORS_A_DAY: Final = 20_000
_DAY_US: Final = 86_400_000_000
_PURCHASE: Final = events_pb2.EVENT_TYPE_PURCHASE
_UNDONE: Final = {
    events_pb2.EVENT_TYPE_CANCEL: "cancelled",
    events_pb2.EVENT_TYPE_REFUND: "refunded",
}

SCORES: Final = np.dtype(
    [
        ("session", "i8"),  # number of the session, and of the visit in it
        ("epoch", "i8"),
        ("bundle", "i4"),
        ("events_seen", "i4"),
        ("conversion", "f8"),
        ("received", "i8"),  # microseconds since 1970
        ("moment", "i8"),  # feature time, the same
    ]
)
ScoreArray = npt.NDArray[np.void]


@dataclass(slots=True)
class Visit:
    """One visit: who, from when to when, its last call, its first order; microseconds since 1970.

    All but `called_us` is by feature time. An order up to `expiry_us` after its end is its own.
    """

    place: tuple[int, int]  # number of the session, and of the visit in it
    visitor: str
    begin_us: int
    end_us: int
    called_us: int
    expiry_us: int
    ordered_us: int | None = None


@dataclass
class ServedScores:
    """What a log holds of scores that conversion is judged by: those before an order.

    `visits` are by number of session and epoch; `scores` are `SCORES`. `orders` are those told from
    outside a visit: visitor, order, time. `undone` says of orders how they ended.
    """

    bundles: list[str] = field(default_factory=list)
    scores: ScoreArray = field(default_factory=lambda: np.zeros(0, SCORES))
    visits: dict[tuple[int, int], Visit] = field(default_factory=dict)
    in_visits: dict[str, tuple[int, int]] = field(default_factory=dict)  # visits by order
    orders: list[tuple[str, str, int]] = field(default_factory=list)
    undone: dict[str, str] = field(default_factory=dict)
    vectors: dict[tuple[int, int], Reservoir] = field(default_factory=dict)  # bundle, day
    left_out: Counter[str] = field(default_factory=Counter)
    last_us: int = 0
    last_bundle: int = 0


class Reservoir:
    """Keeps up to so many vectors of all that come, each as likely as any other."""

    def __init__(self, seed: int, most: int = VECTORS_A_DAY) -> None:
        self._chance = Random(seed)
        self._most = most
        self._kept: list[bytes] = []
        self.seen = 0

    def add(self, vector: bytes) -> None:
        """Take one."""
        self.seen += 1
        if len(self._kept) < self._most:
            self._kept.append(vector)
            return
        place = self._chance.randrange(self.seen)
        if place < self._most:
            self._kept[place] = vector

    def matrix(self) -> npt.NDArray[np.float32]:
        """Give those kept, shape (n, features)."""
        return np.frombuffer(b"".join(self._kept), "<f4").reshape(len(self._kept), -1)


def read_served(
    visits: Iterable[LoggedVisit], outside: Iterable[LoggedEvent] = (), *, vector_days: int
) -> ServedScores:
    """Read a log, both parts in order of arrival; vectors of the last `vector_days` days are kept.

    Raises `InvalidDataError` for a call that can't be read.
    """
    reader = _Reader(vector_days)
    for visit in visits:
        reader.take(visit)
    for event in outside:
        reader.take_outside(event)
    return reader.finish()


class _Reader:
    def __init__(self, vector_days: int) -> None:
        self.served = ServedScores()
        self._vector_days = vector_days
        self._sessions = LoggedSessions()
        self._taken = 0
        self._rows: list[tuple[int, int, int, int, float, int, int]] = []

    def take(self, visit: LoggedVisit) -> None:
        if visit.kind == RowKind.GAP:
            self._sessions.gap(visit)
            return
        if visit.kind == RowKind.ERASED:
            self._sessions.erased(visit)
            return
        try:
            logged = visit.call()
        except DecodeError as error:
            raise InvalidDataError(f"event log, row {visit.position}", str(error)) from None
        self.served.last_us = max(self.served.last_us, visit.received_time_us)
        if not logged.events:
            return
        session = self._sessions.of(visit, logged)
        events_before = self._taken
        for event in self._new_events(session, visit, logged):
            self._fold(session, visit, event)
        # Only what came of new events is a decision point.
        if self._taken > events_before:
            self._score(session, visit, logged)

    def take_outside(self, logged: LoggedEvent) -> None:
        try:
            event = events_pb2.Event.FromString(logged.event)
        except DecodeError as error:
            raise InvalidDataError("events outside visits", str(error)) from None
        self.served.last_us = max(self.served.last_us, logged.received_time_us)
        if event.type == _PURCHASE:
            moment = micros_of(event.event_time)
            self.served.orders.append((logged.visitor_id, event.order_id, moment))
        elif event.type in _UNDONE and event.order_id:
            self.served.undone[event.order_id] = _UNDONE[event.type]

    def finish(self) -> ServedScores:
        served = self.served
        scores = np.array(self._rows, SCORES)
        lacking = [one.lacking for one in self._sessions.all]
        usable = np.array([lacking[row["session"]] is None for row in scores], np.bool_)
        for row in scores[~usable]:
            served.left_out[str(lacking[row["session"]])] += 1
        served.scores = scores[usable] if len(scores) else scores
        _join_orders(served)
        return served

    def _new_events(
        self, session: LoggedSession, visit: LoggedVisit, logged: log_pb2.LoggedCall
    ) -> Iterator[events_pb2.Event]:
        for event in logged.events:
            session.places += 1
            if not session.is_repeated(event.event_id):
                self._taken += 1
                session.move_to(
                    micros_of(event.event_time), visit.received_time_us, logged.max_clock_skew_us
                )
                yield event

    def _fold(self, session: LoggedSession, visit: LoggedVisit, event: events_pb2.Event) -> None:
        place = session.number, session.epoch
        moment = session.feature_time_us or 0
        served = self.served
        found = served.visits.get(place)
        if found is None:
            found = served.visits[place] = Visit(
                place, visit.visitor_id, moment, moment, visit.received_time_us, session.expiry_us
            )
        found.visitor, found.end_us = visit.visitor_id, moment
        found.called_us = visit.received_time_us
        if event.type == _PURCHASE:
            found.ordered_us = moment if found.ordered_us is None else found.ordered_us
            if event.order_id:
                served.in_visits[event.order_id] = place
        elif event.type in _UNDONE and event.order_id:
            served.undone[event.order_id] = _UNDONE[event.type]

    def _score(
        self, session: LoggedSession, visit: LoggedVisit, logged: log_pb2.LoggedCall
    ) -> None:
        score = logged.score
        if (
            not score.HasField("conversion")
            or score.converted
            or logged.HasField("as_of_us")
            or any(_is_confirmation(event) for event in logged.events)
        ):
            return
        served = self.served
        if logged.bundle not in served.bundles:
            served.bundles.append(logged.bundle)
        bundle = served.last_bundle = served.bundles.index(logged.bundle)
        row = (session.number, session.epoch, bundle, score.events_seen, score.conversion)
        self._rows.append((*row, visit.received_time_us, session.feature_time_us or 0))
        if score.features:
            self._keep_vector(bundle, visit.received_time_us // _DAY_US, score.features)

    def _keep_vector(self, bundle: int, day: int, vector: bytes) -> None:
        vectors = self.served.vectors
        if (bundle, day) not in vectors:
            for old in [key for key in vectors if key[1] <= day - self._vector_days]:
                del vectors[old]
            vectors[bundle, day] = Reservoir(day)
        vectors[bundle, day].add(vector)


def _is_confirmation(event: events_pb2.Event) -> bool:
    return event.page.type == events_pb2.PAGE_TYPE_CONFIRMATION and event.type != _PURCHASE


def _join_orders(served: ServedScores) -> None:
    """Let orders from outside count for the visit that they were placed in, or just after."""
    own: dict[str, list[Visit]] = {}
    for visit in served.visits.values():
        own.setdefault(visit.visitor, []).append(visit)
    for visitor, order_id, moment in served.orders:
        if order_id in served.in_visits:
            continue
        begun = [one for one in own.get(visitor, ()) if one.begin_us <= moment]
        latest = max(begun, key=lambda one: one.begin_us, default=None)
        if latest is not None and moment <= latest.end_us + latest.expiry_us:
            latest.ordered_us = min(moment, latest.ordered_us or moment)
            if order_id:
                served.in_visits[order_id] = latest.place

"""Under which key the ids of a log are, and bringing them under the current one on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final

from google.protobuf.message import DecodeError

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder, key_id_of
from micromoment.events.masking import mask_events
from micromoment.stores.erasure_list import ErasureList
from micromoment.stores.event_log import LoggedEvent
from micromoment.stores.log_rows import LoggedVisit
from micromoment.v1 import events_pb2
from training.importers.log.source import LogSource

_REMEMBERED: Final = 1 << 17


class LogKeys:
    """Reads a log's ids as they are or, with keys, as they are under the current key.

    A log that was served before and after a change of keys has ids under both: with the keys, each
    visitor is one again. Whom `erasures` names under any form of a visitor's id in the log, it
    names under the form that is given on, too, before that is given.
    """

    def __init__(self, ids: IdEncoder, erasures: ErasureList | None = None) -> None:
        self._ids = ids
        self._erasures = erasures
        self._found: dict[str, str] = {}  # where, by key
        self._name = lru_cache(_REMEMBERED)(ids.rekeyed if ids.is_on else str)
        self._visitor = lru_cache(_REMEMBERED)(self._name_visitor)

    def reading(self, source: LogSource) -> LogSource:
        """Give the same log with the ids that are to be stored, to be read once."""
        return replace(
            source, visits=self._visits(source.visits), outside=self._all(source.outside)
        )

    def visits(self, visits: Iterable[LoggedVisit]) -> Iterator[LoggedVisit]:
        """Give calls of a log with the ids that are to be stored."""
        for visit in visits:
            yield self._visit(visit)

    def outside(self, events: Iterable[LoggedEvent]) -> Iterator[LoggedEvent]:
        """Give events from outside visits with the ids that are to be stored."""
        for event in events:
            yield self._event(event)

    @property
    def key_id(self) -> str:
        """The key under which all ids are that were read, empty for plain ones.

        Raises `InvalidDataError` where they are under several, or under one that is not known.
        """
        if len(self._found) > 1 or (self._ids.is_on and set(self._found) - {self._ids.key_id}):
            held = ", ".join(f"{key or 'none'} (first in {at})" for key, at in self._found.items())
            wanted = "one file of keys that holds them all, each but the first with after="
            raise InvalidDataError("event log", f"ids are under these keys: {held}; give {wanted}")
        return next(iter(self._found), "")

    def _visits(self, rows: Iterable[tuple[int, LoggedVisit]]) -> Iterator[tuple[int, LoggedVisit]]:
        for part, visit in rows:
            yield part, self._visit(visit)

    def _all(
        self, rows: Iterable[tuple[int, int, LoggedEvent]]
    ) -> Iterator[tuple[int, int, LoggedEvent]]:
        for part, number, event in rows:
            yield part, number, self._event(event)

    def _visit(self, visit: LoggedVisit) -> LoggedVisit:
        if not visit.tenant:
            return visit  # it names nobody: a gap of all, or what is left of an erased row
        session_id, visitor_id = self._name(visit.session_id), self._visitor(visit.visitor_id)
        self._note(session_id, f"row {visit.position}")
        self._note(visitor_id, f"row {visit.position}")
        body = visit.body
        if session_id != visit.session_id and not key_id_of(visit.session_id):
            body = _masked_call(visit)
        return replace(visit, session_id=session_id, visitor_id=visitor_id, body=body)

    def _event(self, event: LoggedEvent) -> LoggedEvent:
        visitor_id = self._visitor(event.visitor_id)
        self._note(visitor_id, "the events outside visits")
        data = event.event
        if visitor_id != event.visitor_id and not key_id_of(event.visitor_id):
            data = _masked_event(data)
        return replace(event, visitor_id=visitor_id, event=data)

    def _name_visitor(self, stored: str) -> str:
        named = self._name(stored)
        if self._erasures and (until := self._erasures.latest(self._ids.forms(stored))):
            self._erasures.add([named], until)
        return named

    def _note(self, stored: str, where: str) -> None:
        if stored:
            self._found.setdefault(key_id_of(stored), where)


def _masked_call(visit: LoggedVisit) -> bytes:
    try:
        logged = visit.call()
    except DecodeError:
        return visit.body  # whoever reads it says so
    return logged.SerializeToString() if mask_events(logged.events) else visit.body


def _masked_event(data: bytes) -> bytes:
    try:
        event = events_pb2.Event.FromString(data)
    except DecodeError:
        return data
    return event.SerializeToString(deterministic=True) if mask_events([event]) else data

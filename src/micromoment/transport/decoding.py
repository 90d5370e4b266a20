"""From validated protobuf requests to the application's calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from micromoment.events.field_rules import moment
from micromoment.events.hashing import hash_id
from micromoment.events.identity import IdEncoder
from micromoment.events.limits import MAX_EVENTS
from micromoment.events.masking import mask_events
from micromoment.events.proto_codec import (
    SHORT,
    OutsideContractError,
    check_texts,
    events_from_proto,
    micros_of,
)
from micromoment.events.shop import Shop
from micromoment.events.validation import check_get_session_request, check_score_request
from micromoment.scoring.calls import ScoreCall, SessionKey
from micromoment.security.callers import current_tenant
from micromoment.stores.tombstones import Tombstones
from micromoment.transport.consent import (
    GRANTED,
    ConsentPolicy,
    said_in,
    said_with_refused,
    say_for_all,
)
from micromoment.transport.late_events import not_late, without_late
from micromoment.transport.visitors import VisitCall
from micromoment.v1 import events_pb2, scoring_pb2
from micromoment.v1.events_pb2 import Event


def now_us() -> int:
    """Give the server's clock in microseconds since 1970."""
    return time.time_ns() // 1_000


@dataclass(frozen=True, slots=True)
class RequestDecoder:
    """Checks requests and decodes them; ids pass `ids` here and nowhere else.

    `clock_us` stamps events with their time of arrival, in microseconds since 1970. Where ids
    become pseudonyms, e-mail addresses in texts are masked; `masked` is told in how many events.
    Events from before their visitor was `erased` are left out.
    """

    shop: Shop
    ids: IdEncoder
    clock_us: Callable[[], int] = now_us
    masked: Callable[[int], None] = lambda _: None
    erased: Tombstones = field(default_factory=Tombstones)
    consent: ConsentPolicy = GRANTED

    def score_call(self, request: scoring_pb2.ScoreRequest) -> VisitCall:
        """Decode a request to score. Raises `InvalidRequestError`."""
        try:
            visit = self._visit(request, request.events)
            if self.erased.times:
                without_late(visit, self.erased)
            call = visit.call
            call.as_of_us = _as_of(request)
            if len(request.events) > MAX_EVENTS:
                raise OutsideContractError
        except OutsideContractError:
            check_score_request(request)
            raise
        call.explain = request.explain
        visit.is_dry_run = request.dry_run
        call.dry_run = request.dry_run or visit.is_late
        return visit

    def fold_call(self, request: events_pb2.IngestRequest, refused: Collection[int]) -> VisitCall:
        """Decode those events of a request that are to be folded: all but the `refused`, by place.

        What these deny still counts.
        """
        taken: Sequence[Event] = request.events
        if refused:
            taken = [event for place, event in enumerate(taken) if place not in refused]
        visit = self._visit(request, taken)
        if refused:
            visit.consent = said_with_refused(request, refused, self.consent)
        return without_late(visit, self.erased) if self.erased.times else visit

    def session_keys(self, request: scoring_pb2.GetSessionRequest) -> tuple[SessionKey, ...]:
        """Give where a session may be kept, most likely first. Raises `InvalidRequestError`."""
        check_get_session_request(request)
        return tuple(
            [SessionKey(current_tenant(), one) for one in self.ids.candidates(request.session_id)]
        )

    def visitor_id(self, request: events_pb2.IngestRequest) -> str:
        """Give the id under which the visitor of a request is stored."""
        return self.ids.encode(request.user_id or request.anonymous_id)

    def visitor_forms(self, request: events_pb2.IngestRequest) -> tuple[str, ...]:
        """Give all ids under which the visitor of a request may be known."""
        return tuple(self.ids.candidates(request.user_id or request.anonymous_id))

    def mask(self, events: Sequence[events_pb2.Event]) -> bool:
        """Mask e-mail addresses in valid events, where ids become pseudonyms; tell if any."""
        found = mask_events(events) if self.ids.is_on else 0
        if found:
            self.masked(found)
        return found > 0

    def not_late(self, request: events_pb2.IngestRequest, events: Sequence[Event]) -> list[Event]:
        """Give those events from outside a visit that came after their visitor was erased."""
        return not_late(events, self.erased, current_tenant(), self.visitor_forms(request))

    def _visit(
        self,
        request: scoring_pb2.ScoreRequest | events_pb2.IngestRequest,
        events: Sequence[events_pb2.Event],
    ) -> VisitCall:
        session_id, user_id, anonymous_id = (
            request.session_id, request.user_id, request.anonymous_id,
        )  # fmt: skip
        if len(session_id) + len(user_id) + len(anonymous_id) > SHORT:
            check_texts(session_id, user_id, anonymous_id)
        if not session_id:
            raise OutsideContractError
        plain = user_id or anonymous_id
        visitor_ids = self.ids.candidates(plain) if plain else ()
        visitor = hash_id(visitor_ids[0]) if visitor_ids else 0
        user = visitor if user_id else 0
        received_us = self.clock_us()
        own = request.consent if request.HasField("consent") else None
        if own is not None:
            say_for_all(own, events)
        batch = events_from_proto(events, visitor, user, received_us, self.shop)
        if self.mask(events):
            batch = events_from_proto(events, visitor, user, received_us, self.shop)
        sequence = None
        if events and events[0].HasField("sequence"):
            sequence = events[0].sequence
        session_ids = self.ids.candidates(session_id)
        call = ScoreCall(
            SessionKey(current_tenant(), session_ids[0]),
            visitor,
            batch,
            tuple([one.event_id for one in events]),
            sequence,
        )
        consent = None
        if own is not None or batch.says_consent:
            consent = said_in(own, events, self.consent)
        visit = VisitCall(call, visitor_ids, events, bool(user_id), received_us, consent=consent)
        if len(session_ids) > 1:
            visit.session_ids = session_ids
        return visit


def _as_of(request: scoring_pb2.ScoreRequest) -> int | None:
    if not request.HasField("as_of"):
        return None
    if moment(request.as_of) is not None:
        raise OutsideContractError
    return micros_of(request.as_of)

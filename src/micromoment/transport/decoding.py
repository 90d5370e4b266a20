"""From validated protobuf requests to the application's calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from micromoment.events.hashing import hash_id
from micromoment.events.identity import IdEncoder
from micromoment.events.proto_codec import events_from_proto, micros_of
from micromoment.events.shop import Shop
from micromoment.events.validation import check_get_session_request, check_score_request
from micromoment.scoring.calls import ScoreCall, SessionKey
from micromoment.transport.visitors import VisitCall
from micromoment.v1 import events_pb2, scoring_pb2

TENANT: Final = "default"


def now_us() -> int:
    """Give the server's clock in microseconds since 1970."""
    return time.time_ns() // 1_000


@dataclass(frozen=True, slots=True)
class RequestDecoder:
    """Checks requests and decodes them; ids pass `ids` here and nowhere else.

    `clock_us` stamps events with their time of arrival, in microseconds since 1970.
    """

    shop: Shop
    ids: IdEncoder
    clock_us: Callable[[], int] = now_us

    def score_call(self, request: scoring_pb2.ScoreRequest) -> VisitCall:
        """Decode a request to score. Raises `InvalidRequestError`."""
        check_score_request(request)
        as_of = request.as_of if request.HasField("as_of") else None
        return self._visit(
            request,
            request.events,
            as_of_us=None if as_of is None else micros_of(as_of),
            explain=request.explain,
            dry_run=request.dry_run,
        )

    def fold_call(
        self, request: events_pb2.IngestRequest, events: Sequence[events_pb2.Event]
    ) -> VisitCall:
        """Decode those `events` of a request that are to be folded."""
        return self._visit(request, events)

    def session_key(self, request: scoring_pb2.GetSessionRequest) -> SessionKey:
        """Decode a request for a session. Raises `InvalidRequestError`."""
        check_get_session_request(request)
        return self._key(request.session_id)

    def visitor_id(self, request: events_pb2.IngestRequest) -> str:
        """Give the id under which the visitor of a request is stored."""
        return self.ids.encode(request.user_id or request.anonymous_id)

    def _key(self, session_id: str) -> SessionKey:
        return SessionKey(TENANT, self.ids.encode(session_id))

    def _visit(
        self,
        request: scoring_pb2.ScoreRequest | events_pb2.IngestRequest,
        events: Sequence[events_pb2.Event],
        *,
        as_of_us: int | None = None,
        explain: bool = False,
        dry_run: bool = False,
    ) -> VisitCall:
        visitor_ids = self._visitor_ids(request)
        visitor = hash_id(visitor_ids[0]) if visitor_ids else 0
        first = events[0] if events else None
        numbered = first is not None and first.HasField("sequence")
        call = ScoreCall(
            key=self._key(request.session_id),
            visitor=visitor,
            batch=events_from_proto(
                events, visitor, visitor if request.user_id else 0, self.clock_us(), self.shop
            ),
            event_ids=tuple(event.event_id for event in events),
            first_sequence=first.sequence if first is not None and numbered else None,
            as_of_us=as_of_us,
            explain=explain,
            dry_run=dry_run,
        )
        return VisitCall(call, visitor_ids)

    def _visitor_ids(
        self, request: scoring_pb2.ScoreRequest | events_pb2.IngestRequest
    ) -> tuple[str, ...]:
        plain = request.user_id or request.anonymous_id
        return self.ids.candidates(plain) if plain else ()

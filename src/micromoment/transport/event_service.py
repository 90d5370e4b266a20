"""EventService: takes events in without scoring them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from micromoment.errors import InvalidRequestError
from micromoment.events.validation import check_ingest_request
from micromoment.scoring.calls import AppliedConsent
from micromoment.scoring.scorer import FoldResult
from micromoment.security.callers import current_tenant
from micromoment.stores.errors import EventLogUnavailableError
from micromoment.stores.event_log import LoggedEvent
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.consent import said_with_refused
from micromoment.transport.encoding import fill_consent
from micromoment.transport.grpc_types import Context
from micromoment.transport.keeping import settled
from micromoment.transport.observer import Observer
from micromoment.transport.statuses import status_of
from micromoment.v1 import events_pb2 as pb
from micromoment.v1.events_pb2_grpc import EventServiceServicer

_NOTHING: Final = FoldResult(0, 0)


class EventService(EventServiceServicer):
    """Folds events into their session, or logs those that happened outside a visit."""

    def __init__(self, slot: ApplicationSlot, observer: Observer) -> None:
        self._slot = slot
        self._observer = observer

    async def Ingest(  # noqa: N802 - the contract's name
        self, request: pb.IngestRequest, _context: Context
    ) -> pb.IngestResponse:
        """Take the events that keep to the contract; name the others."""
        application = self._slot.current()
        refused = check_ingest_request(request)
        take = _fold if request.session_id else _log
        result, erased = await take(application, request, refused)
        self._observer.events_taken("accepted", result.accepted)
        self._observer.events_taken("duplicate", result.duplicates)
        self._observer.events_taken("refused", len(refused))
        self._observer.events_taken("erased", erased)
        reply = pb.IngestResponse(
            accepted=result.accepted,
            duplicates=result.duplicates,
            errors=_errors(refused),
            erased=erased,
        )
        if result.consent is not None:
            self._observer.consent_applied(result.consent)
            fill_consent(reply.consent, result.consent)
        return reply


async def _fold(
    application: Application, request: pb.IngestRequest, refused: Collection[int]
) -> tuple[FoldResult, int]:
    """Fold events; tell what became of them, and how many came after their visitor was erased.

    Without any that are taken, a denial is carried out all the same.
    """
    visit = application.decoder.fold_call(request, refused)
    if not visit.events and not (visit.consent and visit.consent.is_denied):
        return _NOTHING, 0
    result = await application.visits.fold(visit)
    is_logged = result.consent is None or result.consent.analytics
    if is_logged and not await settled(application.visit_log.barrier()):
        raise EventLogUnavailableError
    return result, visit.late


async def _log(
    application: Application, request: pb.IngestRequest, refused: Collection[int]
) -> tuple[FoldResult, int]:
    """Log events; tell what became of them, and how many came after their visitor was erased.

    Each is judged by itself: what is denied in a refused one concerns no other.
    """
    decoder = application.decoder
    events = [event for place, event in enumerate(request.events) if place not in refused]
    if not events:
        is_denied = said_with_refused(request, refused, decoder.consent).is_denied
        return FoldResult(0, 0, AppliedConsent(analytics=False) if is_denied else None), 0
    in_time = decoder.not_late(request, events)
    erased = len(events) - len(in_time)
    own = request.consent if request.HasField("consent") else None
    kept, consent = application.visits.consent.outside_visit(in_time, own)
    if not kept:
        return FoldResult(0, 0, consent), erased
    visitor_id, visitor_forms = decoder.visitor_id(request), decoder.visitor_forms(request)
    decoder.mask(kept)
    received_time_us, tenant = decoder.clock_us(), current_tenant()
    logged = [
        LoggedEvent(
            received_time_us=received_time_us,
            tenant=tenant,
            visitor_id=visitor_id,
            event_id=event.event_id,
            event=event.SerializeToString(deterministic=True),
            visitor_forms=visitor_forms,
        )
        for event in kept
    ]
    stored, late = await application.event_log.append(logged)
    return FoldResult(stored, len(kept) - stored - late, consent), erased + late


def _errors(refused: dict[int, InvalidRequestError]) -> list[pb.IngestError]:
    return [
        pb.IngestError(index=index, status=status_of(error)) for index, error in refused.items()
    ]

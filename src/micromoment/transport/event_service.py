"""EventService: takes events in without scoring them."""

from __future__ import annotations

from micromoment.errors import InvalidRequestError
from micromoment.events.validation import check_ingest_request
from micromoment.security.callers import current_tenant
from micromoment.stores.errors import EventLogUnavailableError
from micromoment.stores.event_log import LoggedEvent
from micromoment.transport.application import Application, ApplicationSlot
from micromoment.transport.grpc_types import Context
from micromoment.transport.keeping import settled
from micromoment.transport.observer import Observer
from micromoment.transport.statuses import status_of
from micromoment.v1 import events_pb2 as pb
from micromoment.v1.events_pb2_grpc import EventServiceServicer


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
        taken = [event for index, event in enumerate(request.events) if index not in refused]
        accepted = erased = 0
        if taken:
            take = _fold if request.session_id else _log
            accepted, erased = await take(application, request, taken)
        duplicates = len(taken) - accepted - erased
        self._observer.events_taken("accepted", accepted)
        self._observer.events_taken("duplicate", duplicates)
        self._observer.events_taken("refused", len(refused))
        self._observer.events_taken("erased", erased)
        return pb.IngestResponse(
            accepted=accepted, duplicates=duplicates, errors=_errors(refused), erased=erased
        )


async def _fold(
    application: Application, request: pb.IngestRequest, events: list[pb.Event]
) -> tuple[int, int]:
    """Fold events; give how many counted, and how many came after their visitor was erased."""
    visit = application.decoder.fold_call(request, events)
    result = await application.visits.fold(visit)
    if not await settled(application.visit_log.barrier()):
        raise EventLogUnavailableError
    return result.accepted, visit.late


async def _log(
    application: Application, request: pb.IngestRequest, events: list[pb.Event]
) -> tuple[int, int]:
    """Log events; give how many were new, and how many came after their visitor was erased."""
    decoder = application.decoder
    kept = decoder.not_late(request, events)
    erased = len(events) - len(kept)
    if not kept:
        return 0, erased
    visitor_id = decoder.visitor_id(request)
    decoder.mask(events)
    received_time_us, tenant = decoder.clock_us(), current_tenant()
    logged = [
        LoggedEvent(
            received_time_us=received_time_us,
            tenant=tenant,
            visitor_id=visitor_id,
            event_id=event.event_id,
            event=event.SerializeToString(deterministic=True),
        )
        for event in kept
    ]
    return await application.event_log.append(logged), erased


def _errors(refused: dict[int, InvalidRequestError]) -> list[pb.IngestError]:
    return [
        pb.IngestError(index=index, status=status_of(error)) for index, error in refused.items()
    ]

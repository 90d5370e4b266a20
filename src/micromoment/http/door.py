"""Answers calls over HTTP by the gRPC server's services: same checks, limits, errors, figures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from micromoment.errors import (
    FieldViolation,
    InvalidRequestError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from micromoment.http.json_codec import parse_request, to_json
from micromoment.http.methods import METHODS, Method
from micromoment.security.access import Access, Metadata, Needs, needs_of
from micromoment.transport.admission import Admission
from micromoment.transport.application import ApplicationSlot
from micromoment.transport.errors import DeadlineError
from micromoment.transport.event_service import EventService
from micromoment.transport.observer import Observer
from micromoment.transport.scoring_service import ScoringService
from micromoment.transport.server import MAX_REQUEST_BYTES
from micromoment.transport.shedding import NEVER
from micromoment.transport.statuses import code_of, status_of
from micromoment.transport.streams import Streams

# JSON says the same in more bytes than protobuf, whose limit holds after reading.
MAX_BODY_BYTES: Final = 4 * MAX_REQUEST_BYTES
# As google.rpc.Code says of each.
HTTP_CODES: Final = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}

_Servicer = Callable[[Any, Any], Message | Awaitable[Message]]


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer: the reply of the call, or a `google.rpc.Status`, as JSON."""

    code: int
    body: str


class Door:
    """Takes the bodies of requests and gives answers, as many at once as `admission` lets in."""

    def __init__(
        self,
        slot: ApplicationSlot,
        admission: Admission,
        observer: Observer,
        *,
        default_deadline_s: float,
        access: Access | None = None,
    ) -> None:
        self._access = access
        # Streams are gRPC's alone.
        streams = Streams(
            admission,
            observer,
            NEVER,
            most=0,
            idle_s=0.0,
            stall_s=0.0,
            deadline_s=default_deadline_s,
        )
        scoring, events = ScoringService(slot, observer, streams), EventService(slot, observer)
        owners = {"ScoringService": scoring, "EventService": events}
        self._servicers: dict[str, _Servicer] = {
            method.path: getattr(owners[method.service.rpartition(".")[2]], method.name)
            for method in METHODS
        }
        self._admission = admission
        self._observer = observer
        self.default_deadline_s: Final = default_deadline_s

    def refusal(self, headers: Metadata, method: Method | None = None) -> HttpAnswer | None:
        """Let in who may make a call, or without one see the pages; give the answer to all others.

        The running task's tenant is the caller's afterwards. `headers` have names in lower case.
        """
        if self._access is None:
            return None
        try:
            self._access.admit(Needs() if method is None else needs_of(method.service), headers)
        except (UnauthenticatedError, PermissionDeniedError) as error:
            status = status_of(error)
            code = code_of(status)
            if method is not None:
                self._observer.call_ended(method.name, code.name, 0.0)
            return HttpAnswer(HTTP_CODES[code], to_json(status))
        return None

    async def answer(self, method: Method, body: bytes) -> HttpAnswer:
        """Answer one call. Never raises but when it is cancelled."""
        started = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            with self._admission:
                return HttpAnswer(200, to_json(await self._in_time(method, body)))
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception as error:  # noqa: BLE001 - becomes the call's status
            status = status_of(error)
            code = code_of(status)
            return HttpAnswer(HTTP_CODES[code], to_json(status))
        finally:
            self._observer.call_ended(method.name, code.name, time.perf_counter() - started)

    async def _in_time(self, method: Method, body: bytes) -> Message:
        try:
            async with asyncio.timeout(self.default_deadline_s):
                request = parse_request(body, method)
                _check_size(request.ByteSize())
                # The services ask nothing of a call's context, and may answer at once.
                answer = self._servicers[method.path](request, None)
                return await answer if isawaitable(answer) else answer
        except TimeoutError:
            raise DeadlineError from None


def _check_size(size: int) -> None:
    if size > MAX_REQUEST_BYTES:
        limit = f"as protobuf more than {MAX_REQUEST_BYTES} bytes"
        raise InvalidRequestError([FieldViolation("body", limit)])

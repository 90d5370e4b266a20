"""The one table from exceptions to gRPC statuses, and the `google.rpc.Status` made from it."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from typing import Final, NoReturn

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from micromoment.errors import (
    BundleError,
    BundleNotFoundError,
    BundleRefusedError,
    BundleUntrustedError,
    InvalidDataError,
    InvalidRequestError,
    InvalidSettingError,
    MicromomentError,
    NotEnoughDataError,
    PermissionDeniedError,
    ServerCallError,
    SessionNotFoundError,
    UnauthenticatedError,
    UserFeaturesUnavailableError,
)
from micromoment.stores.errors import (
    ErasureIncompleteError,
    EventLogMissingError,
    EventLogUnavailableError,
    RegistryCodeError,
    SessionStoreUnavailableError,
    TombstonesUnavailableError,
)
from micromoment.transport.errors import (
    ActivationUnderWayError,
    DeadlineError,
    NotReadyError,
    OverloadedError,
    StalledStreamError,
    TooManyStreamsError,
    UndecodableRequestError,
)
from micromoment.transport.grpc_types import Context

ERROR_DOMAIN: Final = "micromoment"
# How long a refused caller should stay away, as RetryInfo and as gRPC's own trailer says it.
RETRY_DELAY_MS: Final = 100
_RETRY_DELAY: Final = Duration(nanos=RETRY_DELAY_MS * 1_000_000)
_PUSHBACK: Final = ("grpc-retry-pushback-ms", str(RETRY_DELAY_MS))
_DETAILS_KEY: Final = "grpc-status-details-bin"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """How an exception is told to the caller: `reason` is stable and machine-readable."""

    code: grpc.StatusCode
    reason: str


# None: the caller learns nothing but a correlation id, because the message is for the operator.
ANSWERS: Final[dict[type[MicromomentError], Answer | None]] = {
    MicromomentError: None,
    InvalidSettingError: None,
    InvalidDataError: None,
    BundleError: None,
    NotEnoughDataError: None,
    RegistryCodeError: None,
    ServerCallError: None,
    BundleNotFoundError: Answer(grpc.StatusCode.NOT_FOUND, "BUNDLE_NOT_FOUND"),
    BundleRefusedError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "BUNDLE_REFUSED"),
    BundleUntrustedError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "BUNDLE_UNTRUSTED"),
    ActivationUnderWayError: Answer(grpc.StatusCode.ABORTED, "ACTIVATION_UNDER_WAY"),
    InvalidRequestError: Answer(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    UndecodableRequestError: Answer(grpc.StatusCode.INVALID_ARGUMENT, "UNDECODABLE_REQUEST"),
    UnauthenticatedError: Answer(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    PermissionDeniedError: Answer(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"),
    SessionNotFoundError: Answer(grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND"),
    UserFeaturesUnavailableError: Answer(grpc.StatusCode.UNAVAILABLE, "USER_FEATURES_UNAVAILABLE"),
    EventLogMissingError: Answer(grpc.StatusCode.FAILED_PRECONDITION, "EVENT_LOG_MISSING"),
    EventLogUnavailableError: Answer(grpc.StatusCode.UNAVAILABLE, "EVENT_LOG_UNAVAILABLE"),
    SessionStoreUnavailableError: Answer(grpc.StatusCode.UNAVAILABLE, "SESSION_STORE_UNAVAILABLE"),
    TombstonesUnavailableError: Answer(grpc.StatusCode.UNAVAILABLE, "ERASURE_NOT_BEGUN"),
    ErasureIncompleteError: Answer(grpc.StatusCode.UNAVAILABLE, "ERASURE_INCOMPLETE"),
    NotReadyError: Answer(grpc.StatusCode.UNAVAILABLE, "NOT_READY"),
    OverloadedError: Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    TooManyStreamsError: Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS"),
    StalledStreamError: Answer(grpc.StatusCode.ABORTED, "STREAM_STALLED"),
    DeadlineError: Answer(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"),
}


def code_of(status: Status) -> grpc.StatusCode:
    """Give grpc's own constant for a status."""
    return _CODES[status.code]


def status_of(error: Exception) -> Status:
    """Make the status for an exception; what nobody expected is logged and gets an id."""
    answer = ANSWERS.get(type(error)) if isinstance(error, MicromomentError) else None
    if answer is None:
        return _internal(error)
    info = ErrorInfo(reason=answer.reason, domain=ERROR_DOMAIN)
    if isinstance(error, SessionNotFoundError) and error.withdrawal:
        info.metadata["withdrawal"] = error.withdrawal
    details: list[Message] = [info]
    if isinstance(error, InvalidRequestError):
        details.append(_bad_request(error))
    if answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        details.append(RetryInfo(retry_delay=_RETRY_DELAY))
    return _status(answer.code, str(error), details)


async def abort_with(context: Context, status: Status) -> NoReturn:
    """End a call with a status, its details and, where the caller should stay away, for how long.

    Raises gRPC's own `AbortError`.
    """
    code = code_of(status)
    trailers: tuple[tuple[str, str | bytes], ...] = ((_DETAILS_KEY, status.SerializeToString()),)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        trailers = (_PUSHBACK, *trailers)
    await context.abort(code, status.message, trailers)


def _internal(error: Exception) -> Status:
    correlation_id = os.urandom(8).hex()
    # Neither its message nor local variables are logged: they may hold what a caller sent.
    frames = traceback.extract_tb(error.__traceback__)
    _log.error(
        "unexpected_error",
        correlation_id=correlation_id,
        error=type(error).__qualname__,
        traceback=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
    info = ErrorInfo(
        reason="INTERNAL", domain=ERROR_DOMAIN, metadata={"correlation_id": correlation_id}
    )
    message = f"internal error, correlation id {correlation_id}"
    return _status(grpc.StatusCode.INTERNAL, message, [info])


def _bad_request(error: InvalidRequestError) -> BadRequest:
    return BadRequest(
        field_violations=[
            BadRequest.FieldViolation(field=violation.field, description=violation.description)
            for violation in error.violations
        ]
    )


def _status(code: grpc.StatusCode, message: str, details: list[Message]) -> Status:
    status = Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

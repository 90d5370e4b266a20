"""Answers for pages that must neither wait nor break: made here when the service has none."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import grpc

from micromoment.client.consent import is_denied, withhold
from micromoment.v1 import scoring_pb2 as pb

_log = logging.getLogger(__name__)


class FallbackReason(StrEnum):
    """Why the service's own answer is not there."""

    DEADLINE = "deadline"  # it did not come in time
    UNAVAILABLE = "unavailable"  # no server answers, or none that is SERVING
    OVERLOADED = "overloaded"  # the server has as many calls as it takes
    UNKNOWN_SESSION = "unknown_session"  # no events were given and the visit is not known
    REFUSED = "refused"  # the request breaks the contract: a mistake in the shop's code
    FAILED = "failed"  # a mistake of the server's, or an answer that can't be read


@dataclass(frozen=True, slots=True)
class Fallback:
    """One answer that was made here.

    `detail` is gRPC's message, which names fields and never values; `seconds` is how long the call
    took until it was given up.
    """

    reason: FallbackReason
    session_id: str
    seconds: float
    detail: str


OnFallback = Callable[[Fallback], None]

_REASONS: Final[Mapping[grpc.StatusCode, FallbackReason]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: FallbackReason.DEADLINE,
    grpc.StatusCode.UNAVAILABLE: FallbackReason.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: FallbackReason.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: FallbackReason.OVERLOADED,
    grpc.StatusCode.NOT_FOUND: FallbackReason.UNKNOWN_SESSION,
    grpc.StatusCode.INVALID_ARGUMENT: FallbackReason.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: FallbackReason.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: FallbackReason.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: FallbackReason.REFUSED,
    grpc.StatusCode.UNIMPLEMENTED: FallbackReason.REFUSED,
}


def is_fallback(response: pb.ScoreResponse) -> bool:
    """Tell whether a client made the answer because the service had none."""
    return pb.DEGRADED_REASON_FALLBACK in response.degraded


class Fallbacks:
    """Makes a client's fallback answers from a template and counts them, for any thread.

    `on_fallback` is told of each, in the caller's thread; what it raises is logged and goes no
    further.
    """

    def __init__(self, template: pb.ScoreResponse | None, on_fallback: OnFallback | None) -> None:
        self._template = pb.ScoreResponse()
        if template is not None:
            self._template.CopyFrom(template)
        self._template.degraded.append(pb.DEGRADED_REASON_FALLBACK)
        self._on_fallback = on_fallback
        self._lock = threading.Lock()
        self._counts: Counter[FallbackReason] = Counter()

    def counts(self) -> dict[FallbackReason, int]:
        """Give how many answers were made here, by reason."""
        with self._lock:
            return {reason: self._counts[reason] for reason in FallbackReason}

    def instead_of(
        self, request: pb.ScoreRequest, error: BaseException, seconds: float
    ) -> pb.ScoreResponse:
        """Make the answer for a call that ended with `error`.

        It says what its request says of personalization, and advises nothing where that is denied.
        """
        made = Fallback(_reason_of(error), request.session_id, seconds, _detail_of(error))
        with self._lock:
            self._counts[made.reason] += 1
        if self._on_fallback is not None:
            try:
                self._on_fallback(made)
            except Exception:  # noqa: BLE001 - a page goes before what counts its troubles
                # Of the shop's own function, into the shop's own log.
                # nosemgrep: no-ids-in-log-texts
                _log.exception("on_fallback failed")
        response = pb.ScoreResponse()
        response.CopyFrom(self._template)
        response.session_id = request.session_id
        if is_denied(request):
            withhold(response)
        return response


def _reason_of(error: BaseException) -> FallbackReason:
    if isinstance(error, grpc.RpcError):
        return _REASONS.get(error.code(), FallbackReason.FAILED)
    # A channel that is closed, by an application that ends say.
    return FallbackReason.UNAVAILABLE


def _detail_of(error: BaseException) -> str:
    if isinstance(error, grpc.RpcError):
        return str(error.details() or "")
    return str(error) or "the client is closed"

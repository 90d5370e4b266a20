"""Bounded admission of calls."""

from __future__ import annotations

from types import TracebackType

from micromoment.transport.errors import OverloadedError


class Admission:
    """Entered by each call; raises `OverloadedError` while `limit` calls are inside.

    gRPC's own `maximum_concurrent_rpcs` would refuse health checks, too.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_flight = 0

    def __enter__(self) -> None:
        if self.in_flight >= self._limit:
            raise OverloadedError
        self.in_flight += 1

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.in_flight -= 1

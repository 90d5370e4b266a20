"""grpc.health.v1: whether to send calls here."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Final

import grpc
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

from micromoment.transport.grpc_types import Context

# Of one connection: a client needs one for each service, and nobody asks watchers for a token.
MAX_WATCHES: Final = 256
# The name to ask for whether the process is to be killed.
LIVENESS: Final = "liveness"

_Status = pb.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # grpc_health has no types
    """One status for the whole server and each of its services; NOT_SERVING to begin with.

    `LIVENESS` is SERVING whatever happens: that the event loop answers is all that it tells.
    grpcio's own servicer begins with SERVING, and its watchers hold up a drain for the whole grace.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = frozenset(("", LIVENESS, *services))
        self._status = _Status.NOT_SERVING
        self._closed = False
        self._changed = asyncio.Event()
        self._watches: Counter[str] = Counter()

    def set_serving(self, serving: bool) -> None:
        """Tell all who ask or watch."""
        self._status = _Status.SERVING if serving else _Status.NOT_SERVING
        self._wake()

    def close(self) -> None:
        """End the watchers' streams."""
        self._closed = True
        self._wake()

    async def Check(  # noqa: N802 - the protocol's name
        self, request: pb.HealthCheckRequest, context: Context
    ) -> pb.HealthCheckResponse:
        """Tell the status of a service; NOT_FOUND for one that isn't here."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return _Status(status=self._status_of(request.service))

    async def List(  # noqa: N802 - the protocol's name
        self, _request: pb.HealthListRequest, _context: Context
    ) -> pb.HealthListResponse:
        """Tell the status of every service."""
        return pb.HealthListResponse(
            statuses={name: _Status(status=self._status_of(name)) for name in self._services}
        )

    async def Watch(  # noqa: N802 - the protocol's name
        self, request: pb.HealthCheckRequest, context: Context
    ) -> AsyncIterator[pb.HealthCheckResponse]:
        """Tell the status of a service, then every change of it.

        RESOURCE_EXHAUSTED where a connection has `MAX_WATCHES` of them.
        """
        peer = context.peer()
        if self._watches[peer] >= MAX_WATCHES:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watches")
        self._watches[peer] += 1
        try:
            told = None
            while not self._closed:
                changed = self._changed
                status = self._status_of(request.service)
                if status != told:
                    yield _Status(status=status)
                    told = status
                else:
                    await changed.wait()
        finally:
            self._watches[peer] -= 1
            if not self._watches[peer]:
                del self._watches[peer]

    def _status_of(self, service: str) -> pb.HealthCheckResponse.ServingStatus:
        if service == LIVENESS:
            return _Status.SERVING
        return self._status if service in self._services else _Status.SERVICE_UNKNOWN

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

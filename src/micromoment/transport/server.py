"""The gRPC server: its options, services and port."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from micromoment.ports import cannot_listen, check_port
from micromoment.security.access import Access
from micromoment.transport import arrivals
from micromoment.transport.admission import Admission
from micromoment.transport.application import ApplicationSlot
from micromoment.transport.event_service import EventService
from micromoment.transport.grpc_types import Handler, RpcHandlers
from micromoment.transport.guards import Guards
from micromoment.transport.health import Health
from micromoment.transport.observer import Observer
from micromoment.transport.overload import OverloadWatch
from micromoment.transport.privacy import PrivacySlot
from micromoment.transport.privacy_service import SERVICE as PRIVACY
from micromoment.transport.privacy_service import add_privacy_service
from micromoment.transport.scoring_service import ScoringService
from micromoment.transport.shedding import DROPS_ALL, Shedding
from micromoment.transport.streams import Streams
from micromoment.v1 import events_pb2, events_pb2_grpc, scoring_pb2, scoring_pb2_grpc

MAX_REQUEST_BYTES: Final = 256 * 1_024
_MAX_REPLY_BYTES: Final = 16 * 1_024 * 1_024

SERVICES: Final = (
    scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name,
    events_pb2.DESCRIPTOR.services_by_name["EventService"].full_name,
)
_HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

OPTIONS: Final = (
    # A second server on the port must fail instead of taking half of its calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", _MAX_REPLY_BYTES),
    ("grpc.max_metadata_size", 16 * 1_024),
    ("grpc.absolute_max_metadata_size", 16 * 1_024),
    # Connections that never speak would use up the file descriptors.
    ("grpc.server_handshake_timeout_ms", 2_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Clients come back on a new connection and so spread over new replicas.
    ("grpc.max_connection_age_ms", 600_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server takes at most; times are in seconds.

    Calls wait up to `max_wait_s` to be taken from gRPC, `max_waiting` of them.
    """

    default_deadline_s: float
    max_streams: int
    stream_idle_s: float
    stream_stall_s: float = 30.0
    max_wait_s: float = 0.02
    max_waiting: int = 128


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A server that isn't started yet, or is, with its port and its health."""

    server: grpc.aio.Server
    health: Health
    streams: Streams
    watch: OverloadWatch
    arrivals: arrivals.Arrivals
    port: int

    async def start(self) -> None:
        """Take calls."""
        await self.server.start()
        self.watch.start()

    async def stop(self, grace_s: float) -> None:
        """Close the port; calls in flight have `grace_s` seconds."""
        self.watch.stop()
        self.arrivals.close()
        await self.server.stop(grace_s)

    def end_streams(self) -> None:
        """Let streams end when what they read is answered, and watchers of health at once."""
        self.health.close()
        self.streams.close()


def make_server(
    slot: ApplicationSlot,
    admission: Admission,
    observer: Observer,
    *,
    host: str,
    port: int,
    limits: Limits,
    reflect: bool,
    around: Callable[[RpcHandlers], RpcHandlers] | None = None,
    access: Access | None = None,
    credentials: grpc.ServerCredentials | None = None,
    privacy: PrivacySlot | None = None,
) -> GrpcServer:
    """Make the server and open its port; `around` is put around the guarded methods.

    With `access` calls must bring a token, with `credentials` they come over TLS. `privacy` is
    served where calls bring tokens, alone.

    Raises `InvalidSettingError` when the port is taken.
    """
    server = grpc.aio.server(options=(*OPTIONS, *arrivals.OPTIONS, *_queue_options(limits)))
    arrived = arrivals.Arrivals()
    watch = OverloadWatch(Shedding(limits.max_wait_s, limits.max_waiting), arrived.count)
    guards = Guards(
        admission,
        observer,
        default_deadline_s=limits.default_deadline_s,
        watch=watch,
        access=access,
    )
    server.add_generic_rpc_handlers((around(guards) if around else guards,))
    guarded = cast(grpc.aio.Server, guards)
    health = Health(SERVICES)
    streams = Streams(
        admission,
        observer,
        watch.shedding,
        most=limits.max_streams,
        idle_s=limits.stream_idle_s,
        stall_s=limits.stream_stall_s,
        deadline_s=limits.default_deadline_s,
        check=access.check_again if access else lambda: None,
    )
    scoring = ScoringService(slot, observer, streams, watch.shedding)
    scoring_pb2_grpc.add_ScoringServiceServicer_to_server(scoring, guarded)
    events_pb2_grpc.add_EventServiceServicer_to_server(EventService(slot, observer), guarded)
    apart = cast(grpc.aio.Server, _OwnQueues(server, guards, watch))
    health_pb2_grpc.add_HealthServicer_to_server(health, apart)
    services: tuple[str, ...] = (*SERVICES, _HEALTH)
    if privacy is not None and access is not None:
        add_privacy_service(privacy, guarded)
        services += (PRIVACY,)
    if reflect:
        add_reflection(services, guarded)
    bound = bind(server, host, port, setting="port", credentials=credentials)
    return GrpcServer(server, health, streams, watch, arrived, bound)


class _OwnQueues:
    """Adds services whose methods have each a queue of their own in gRPC's core.

    Those of all others share one, in which a call of health would wait behind them.
    """

    def __init__(self, server: grpc.aio.Server, guards: Guards, watch: OverloadWatch) -> None:
        self._server = server
        self._guards = guards
        self._watch = watch

    def add_generic_rpc_handlers(self, _handlers: Iterable[RpcHandlers]) -> None:
        """Ignore what says the same in another form."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Take the methods of a service, as a `grpc.aio.Server` does."""
        guarded = {
            name: self._guards.guard(f"/{service}/{name}", handler, self._watch.take)
            for name, handler in handlers.items()
        }
        # The annotations lack it.
        self._server.add_registered_method_handlers(  # type: ignore[attr-defined]
            service, guarded
        )


def _queue_options(limits: Limits) -> tuple[tuple[str, int], ...]:
    """Bound the queue in gRPC's core.

    It drops some calls from the first number on, all from the second, and those that waited longer
    than a call without a deadline may take.
    """
    return (
        ("grpc.server.max_pending_requests", limits.max_waiting),
        ("grpc.server.max_pending_requests_hard_limit", int(DROPS_ALL * limits.max_waiting)),
        ("grpc.server_max_unrequested_time_in_server", math.ceil(limits.default_deadline_s)),
    )


def add_reflection(services: Sequence[str], guarded: grpc.aio.Server) -> None:
    """Let clients such as grpcurl list services."""
    # The library's own function would take guards for a server of threads.
    asynchronous = reflection.aio  # type: ignore[attr-defined] # named in its __all__ alone
    servicer = asynchronous.ReflectionServicer((*services, reflection.SERVICE_NAME))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, guarded)


def make_health_server(
    health: Health, *, host: str, port: int, options: Sequence[tuple[str, int]] = OPTIONS
) -> tuple[grpc.aio.Server, int]:
    """Make a server for probes that speak no TLS: nothing but health, and its port.

    Raises `InvalidSettingError` when the port is taken.
    """
    server = grpc.aio.server(options=options)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    return server, bind(server, host, port, setting="health_port")


def bind(
    server: grpc.aio.Server,
    host: str,
    port: int,
    *,
    setting: str,
    credentials: grpc.ServerCredentials | None = None,
) -> int:
    """Bind a port and give it. Raises `InvalidSettingError` naming `setting` when it is taken."""
    # gRPC would log lines of its own about one that can't be had.
    check_port(host, port, setting)
    try:
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if credentials is None:
            # `exposure.py` has seen to it that this is loopback, or that it was asked for.
            # nosemgrep: no-plaintext-beyond-loopback
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError:
        raise cannot_listen(host, port, "it is taken or not allowed", setting) from None

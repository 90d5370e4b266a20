"""The gRPC server: its options, services and port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from micromoment.ports import cannot_listen, check_port
from micromoment.transport.admission import Admission
from micromoment.transport.application import ApplicationSlot
from micromoment.transport.event_service import EventService
from micromoment.transport.grpc_types import RpcHandlers
from micromoment.transport.guards import Guards
from micromoment.transport.health import Health
from micromoment.transport.observer import Observer
from micromoment.transport.scoring_service import ScoringService
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
class GrpcServer:
    """A server that isn't started yet, or is, with its port and its health."""

    server: grpc.aio.Server
    health: Health
    streams: Streams
    port: int

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
    default_deadline_s: float,
    max_streams: int,
    stream_idle_s: float,
    reflect: bool,
    around: Callable[[RpcHandlers], RpcHandlers] | None = None,
) -> GrpcServer:
    """Make the server and open its port; `around` is put around the guarded methods.

    Raises `InvalidSettingError` when the port is taken.
    """
    guards = Guards(admission, observer, default_deadline_s=default_deadline_s)
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((around(guards) if around else guards,))
    guarded = cast(grpc.aio.Server, guards)
    health = Health(SERVICES)
    streams = Streams(
        admission, observer, most=max_streams, idle_s=stream_idle_s, deadline_s=default_deadline_s
    )
    scoring = ScoringService(slot, observer, streams)
    scoring_pb2_grpc.add_ScoringServiceServicer_to_server(scoring, guarded)
    events_pb2_grpc.add_EventServiceServicer_to_server(EventService(slot, observer), guarded)
    health_pb2_grpc.add_HealthServicer_to_server(health, guarded)
    if reflect:
        add_reflection((*SERVICES, _HEALTH), guarded)
    return GrpcServer(server, health, streams, bind(server, host, port, setting="port"))


def add_reflection(services: Sequence[str], guarded: grpc.aio.Server) -> None:
    """Let clients such as grpcurl list services."""
    # The library's own function would take guards for a server of threads.
    asynchronous = reflection.aio  # type: ignore[attr-defined] # named in its __all__ alone
    servicer = asynchronous.ReflectionServicer((*services, reflection.SERVICE_NAME))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, guarded)


def bind(server: grpc.aio.Server, host: str, port: int, *, setting: str) -> int:
    """Bind a port and give it. Raises `InvalidSettingError` naming `setting` when it is taken."""
    # gRPC would log lines of its own about one that can't be had.
    check_port(host, port, setting)
    try:
        return server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError:
        raise cannot_listen(host, port, "it is taken or not allowed", setting) from None

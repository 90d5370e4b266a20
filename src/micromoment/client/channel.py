"""How both clients reach the service: retries, health and limits."""

from __future__ import annotations

import json
from typing import Any, Final

from micromoment.v1 import events_pb2, scoring_pb2

DEFAULT_DEADLINE_S: Final = 1.0
_MAX_REPLY_BYTES: Final = 16 * 1_024 * 1_024
_SERVICES: Final = (
    scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"],
    events_pb2.DESCRIPTOR.services_by_name["EventService"],
)
SCORING_SERVICE: Final[str] = _SERVICES[0].full_name


def service_config(timeout_s: float | None) -> dict[str, Any]:
    """Give gRPC's service config for the methods that answer once; streams have no time limit.

    A repeated Score or Ingest is safe: the server ignores event ids that it has seen. A server that
    drains says NOT_SERVING first, and round_robin sends calls elsewhere before its port closes.
    `timeout_s` caps every call, also one that asks for more; None leaves the limit to the calls.
    """
    method_config: dict[str, Any] = {
        "name": [
            {"service": service.full_name, "method": method.name}
            for service in _SERVICES
            for method in service.methods
            if not (method.client_streaming or method.server_streaming)
        ],
        # Five tries in a fifth of a second; the first repeat fits into a page's 20 ms.
        "retryPolicy": {
            "maxAttempts": 5,
            "initialBackoff": "0.005s",
            "maxBackoff": "0.2s",
            "backoffMultiplier": 3,
            # A server that is overloaded has gRPC drop calls as CANCELLED before it sees them; one
            # that it refuses itself, RESOURCE_EXHAUSTED, should stay away.
            "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
        },
    }
    if timeout_s is not None:
        method_config["timeout"] = f"{timeout_s:g}s"
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": SCORING_SERVICE},
        "methodConfig": [method_config],
        # A server in trouble gets few retries on top of the first tries.
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }


# What protos/micromoment/v1/micromoment_grpc_service_config.json publishes for any language. Where
# gRPC is its C core (C++, Python, Ruby, PHP), it counts up to two seconds less than the config says
# (grpc#34547; measured with 1.85), so that 1 s would end calls at once.
PUBLISHED_TIMEOUT_S: Final = 3.0
SERVICE_CONFIG: Final = service_config(PUBLISHED_TIMEOUT_S)

OPTIONS: Final = (
    # Each call of these clients carries its own deadline.
    ("grpc.service_config", json.dumps(service_config(None))),
    ("grpc.max_receive_message_length", _MAX_REPLY_BYTES),
    # The service is the shop's own: a proxy for the web is not the way to it.
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # Also the time that connecting may take.
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A server that hangs with its connections open is found out in 15 s; it allows a ping in 10 s.
    ("grpc.keepalive_time_ms", 12_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    # Else gRPC's own pings, which measure the bandwidth, hold those up for a minute.
    ("grpc.http2.ping_timeout_ms", 3_000),
    # A shop at night: the first page of the morning must not pay for a new connection.
    ("grpc.client_idle_timeout_ms", 2**31 - 1),
)


def published() -> str:
    """Give the text of the published service config."""
    return json.dumps(SERVICE_CONFIG, indent=2) + "\n"

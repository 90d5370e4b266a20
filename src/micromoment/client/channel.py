"""How both clients reach the service: retries, health and limits."""

from __future__ import annotations

import json
from typing import Any, Final

DEFAULT_DEADLINE_S: Final = 1.0
SCORING_SERVICE: Final = "micromoment.v1.ScoringService"
_MAX_REPLY_BYTES: Final = 16 * 1_024 * 1_024

# A repeated Score or Ingest is safe: the server ignores event ids that it has seen. A server that
# drains says NOT_SERVING first, and round_robin sends calls elsewhere before its port closes.
SERVICE_CONFIG: Final[dict[str, Any]] = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": SCORING_SERVICE},
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.4s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # A server in trouble gets few retries on top of the first tries.
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}

OPTIONS: Final = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", _MAX_REPLY_BYTES),
    # The service is the shop's own: a proxy for the web is not the way to it.
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
)

"""Asks a server for its health: `python -m micromoment.health`. Status 0 means SERVING.

Made for probes, which run every few seconds: it imports gRPC and nothing else. The two messages of
grpc.health.v1 are written and read here, because importing protobuf costs a quarter of the whole.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

import grpc

_CHECK: Final = "/grpc.health.v1.Health/Check"
# HealthCheckRequest.service and HealthCheckResponse.status: field 1, a string and an enum.
_SERVICE: Final = b"\x0a"
_STATUS: Final = 0x08
_STATUSES: Final = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the status and give 0 for SERVING, 1 for anything else."""
    options = _parser().parse_args(arguments)
    status = check(f"{options.host}:{options.port}", options.service, options.timeout)
    sys.stdout.write(f"{status}\n")
    return 0 if status == "SERVING" else 1


def check(address: str, service: str = "", timeout_s: float = 1.0) -> str:
    """Give the health status's name, or that of the gRPC status when there is none."""
    # Health says nothing that is secret.
    # nosemgrep: no-plaintext-beyond-loopback
    with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        ask = channel.unary_unary(_CHECK, None, None)  # bytes in, bytes out
        try:
            reply: bytes = ask(_request(service), timeout=timeout_s)
        except grpc.RpcError as error:
            return str(error.code().name)
    return _status(reply)


def _request(service: str) -> bytes:
    name = service.encode()
    length = len(name)
    digits = bytearray()
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    digits.append(length)
    return _SERVICE + digits + name if name else b""


def _status(reply: bytes) -> str:
    if len(reply) != 2 or reply[0] != _STATUS or reply[1] >= len(_STATUSES):
        return _STATUSES[0]
    return _STATUSES[reply[1]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m micromoment.health", description=__doc__)
    parser.add_argument("--host", default=os.environ.get("MICROMOMENT_HOST", "127.0.0.1"))
    # A port for probes alone speaks no TLS, whatever the other one does.
    probed = os.environ.get("MICROMOMENT_HEALTH_PORT") or os.environ.get("MICROMOMENT_PORT")
    parser.add_argument("--port", default=probed or "50051")
    parser.add_argument("--service", default="", help="one service instead of the whole server")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Asks a server for its health: `python -m micromoment.health`. Status 0 means SERVING.

Made for probes: it imports gRPC and nothing heavier.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the status and give 0 for SERVING, 1 for anything else."""
    options = _parser().parse_args(arguments)
    status = check(f"{options.host}:{options.port}", options.service, options.timeout)
    sys.stdout.write(f"{status}\n")
    return 0 if status == "SERVING" else 1


def check(address: str, service: str = "", timeout_s: float = 1.0) -> str:
    """Give the health status's name, or that of the gRPC status when there is none."""
    with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m micromoment.health", description=__doc__)
    parser.add_argument("--host", default=os.environ.get("MICROMOMENT_HOST", "127.0.0.1"))
    parser.add_argument("--port", default=os.environ.get("MICROMOMENT_PORT", "50051"))
    parser.add_argument("--service", default="", help="one service instead of the whole server")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The probe's messages, against those of protobuf."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2

from micromoment.health import _request, _status

Status = health_pb2.HealthCheckResponse.ServingStatus


@pytest.mark.parametrize("service", ["", "a", "micromoment.v1.ScoringService", "ü" * 70, "x" * 300])
def test_a_request_is_what_protobuf_would_write(service: str) -> None:
    """The bytes are the same, for no service, short names and long ones."""
    assert _request(service) == health_pb2.HealthCheckRequest(service=service).SerializeToString()


@pytest.mark.parametrize("name", Status.keys())
def test_a_reply_is_read_as_protobuf_writes_it(name: str) -> None:
    """Each status has its name; the one of 0 is no byte at all."""
    reply = health_pb2.HealthCheckResponse(status=Status.Value(name)).SerializeToString()
    assert _status(reply) == name


@pytest.mark.parametrize("reply", [b"\x08", b"\x08\x09", b"\x08\x01\x01", b"\x10\x01", b"garbage"])
def test_anything_else_is_not_serving(reply: bytes) -> None:
    """What no status is counts as unknown."""
    assert _status(reply) == "UNKNOWN"

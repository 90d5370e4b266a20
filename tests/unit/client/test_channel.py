"""The service config that clients in any language can use."""

from __future__ import annotations

import json
from pathlib import Path

from micromoment.client.channel import (
    OPTIONS,
    SERVICE_CONFIG,
    published,
    service_config,
)
from micromoment.v1 import events_pb2, scoring_pb2

ROOT = Path(__file__).parents[3]
FILE = ROOT / "protos/micromoment/v1/micromoment_grpc_service_config.json"


def test_the_published_file_is_what_the_code_says() -> None:
    """`make proto` wrote the file as it stands, byte by byte."""
    assert FILE.read_text(encoding="utf-8") == published()
    assert json.loads(published()) == SERVICE_CONFIG


def test_it_states_deadline_retries_balancing_and_health() -> None:
    """Whoever takes the file needs to add nothing."""
    (methods,) = SERVICE_CONFIG["methodConfig"]
    # With less, some languages would end each call at once.
    assert float(methods["timeout"].removesuffix("s")) >= 3
    assert methods["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]
    assert methods["retryPolicy"]["maxAttempts"] > 1
    assert SERVICE_CONFIG["loadBalancingConfig"] == [{"round_robin": {}}]
    assert SERVICE_CONFIG["healthCheckConfig"] == {"serviceName": "micromoment.v1.ScoringService"}


def test_it_holds_for_every_method_that_answers_once_and_for_no_stream() -> None:
    """A time limit would end a stream that is meant to stay open."""
    services = (
        scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"],
        events_pb2.DESCRIPTOR.services_by_name["EventService"],
    )
    once = {
        (service.full_name, method.name)
        for service in services
        for method in service.methods
        if not method.client_streaming and not method.server_streaming
    }
    named = SERVICE_CONFIG["methodConfig"][0]["name"]
    assert {(name["service"], name["method"]) for name in named} == once


def test_the_clients_use_it_with_deadlines_of_their_own() -> None:
    """The config of a channel is the published one without the limit that would cap a call's."""
    used = json.loads(str(dict(OPTIONS)["grpc.service_config"]))
    assert used == service_config(None)
    assert "timeout" not in used["methodConfig"][0]
    used["methodConfig"][0]["timeout"] = SERVICE_CONFIG["methodConfig"][0]["timeout"]
    assert used == SERVICE_CONFIG

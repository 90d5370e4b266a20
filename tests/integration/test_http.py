"""The front door by itself: bodies, limits, health, pages."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx
import jsonschema
import pytest
from google.protobuf import json_format

from micromoment.client import event, item, score_request
from micromoment.errors import BundleError
from micromoment.http.door import HTTP_CODES, MAX_BODY_BYTES
from micromoment.http.methods import METHODS
from micromoment.http.openapi import openapi
from micromoment.settings import Settings
from micromoment.transport.server import MAX_REQUEST_BYTES
from micromoment.v1 import scoring_pb2
from tests.support.front_door import BY_NAME, HttpClient, a_door, a_front_door
from tests.support.serving import CountingScorer, SlowUsers, an_application
from tests.support.tiny_bundle import make_tiny_store

ROOT = Path(__file__).parents[2]
SCORE = BY_NAME["Score"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a server with files and a bundle of its own."""
    make_tiny_store(tmp_path / "store")
    return Settings(
        bundle_store=tmp_path / "store", state_dir=tmp_path, state_file=tmp_path / "sessions.bin"
    )


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[HttpClient]:
    """A front door that serves a small bundle."""
    async with a_front_door(settings) as client:
        yield client


@pytest.fixture
async def counting() -> AsyncIterator[HttpClient]:
    """One whose scorer counts instead of predicting."""
    async with a_door(an_application()) as client:
        yield client


def a_visit(session_id: str = "s") -> scoring_pb2.ScoreRequest:
    """Make a request with an event that has everything in it."""
    seen = event(
        "item_view",
        items=[item("sku", price="19.99", quantity=1)],
        page="/p",
        page_type="item",
        attributes={"k": "v"},
        scroll_percent=12.5,
    )
    return score_request(session_id, [seen], anonymous_id="a", explain=True, include_features=True)


def described(name: str) -> dict[str, object]:
    """Give the schema of a message of the contract."""
    # The keywords in use mean the same in both dialects.
    return {"$ref": f"#/components/schemas/{name}", "components": openapi()["components"]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the request's bytes are no message that /v1/score takes"),
        (b"{", "the request's bytes are no message that /v1/score takes"),
        (b"null", "the request's bytes are no message that /v1/score takes"),
        (b"\xff\xfe", "the request's bytes are no message that /v1/score takes"),
        (b'{"events": ' + b"[" * 9_000, "the request's bytes are no message that /v1/score takes"),
        (b'{"canaryField": 1}', "canary_field: no field of the contract"),
        (b'{"canary@x": 1}', "the request's bytes are no message that /v1/score takes"),
        (b'{"events": [{}, {"typ": 1}]}', "events[1].typ: no field of the contract"),
        (b'{"events": [{"type": "CANARY"}]}', "events[0].type: not what the JSON of"),
        (b'{"events": [{"eventTime": "canary"}]}', "events[0].event_time: not what the JSON of"),
        (b'{"events": [{"items": [{"priceMicros": "canary"}]}]}', "events.items.price_micros: not"),
        (b'{"sessionId": 5}', "session_id: not what the JSON of"),
        (b'{"explain": "canary"}', "explain: not what the JSON of"),
        # No names: values where a message should be.
        (b'{"consent": ["canary"]}', "consent: not what the JSON of"),
        (b'{"events": [{"page": ["canary"]}]}', "events[0].page: not what the JSON of"),
        (b'{"events": [{"page": "canary"}]}', "events[0].page: not what the JSON of"),
        (b'["canary"]', "the request's bytes are no message"),
        (b'"canary"', "the request's bytes are no message"),
        (b'{"session_id": "snake", "events": "canary"}', "events: not what the JSON of"),
    ],
)
async def test_a_bad_body_is_refused_by_its_field(
    counting: HttpClient, body: bytes, message: str
) -> None:
    """The answer is a status that names the field as the contract does, and no value."""
    answer = await counting.post(SCORE, body)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert answer.json()["code"] == 3
    assert answer.json()["message"].startswith(message)
    assert "canary" not in answer.text.replace("canary_field", "")


async def test_only_json_is_taken(counting: HttpClient) -> None:
    """What a form on somebody else's page can send is refused before it is read."""
    body = json_format.MessageToJson(a_visit())
    types = ("text/plain", "application/x-www-form-urlencoded", "")
    answers = [await counting.post(SCORE, body, **{"content-type": kind}) for kind in types]
    assert {answer.status_code for answer in answers} == {httpx.codes.UNSUPPORTED_MEDIA_TYPE}
    with_charset = {"content-type": "application/json; charset=utf-8"}
    assert (await counting.post(SCORE, body, **with_charset)).status_code == httpx.codes.OK


async def test_a_body_may_be_as_large_as_a_message_and_not_larger(counting: HttpClient) -> None:
    """One of 1 MiB is read, a byte more is not; as protobuf 256 KiB is the limit, as over gRPC."""
    empty = b'{"sessionId":""}'
    fits = await counting.post(SCORE, empty + b" " * (MAX_BODY_BYTES - len(empty)))
    more = await counting.post(SCORE, empty + b" " * (MAX_BODY_BYTES - len(empty) + 1))
    long = await counting.post(SCORE, json.dumps({"sessionId": "x" * MAX_REQUEST_BYTES}))
    assert fits.json()["message"] == "session_id: required"
    assert more.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    assert long.json()["message"].startswith("body: as protobuf more than 262144 bytes")


async def test_the_description_is_that_of_the_json(client: HttpClient) -> None:
    """Requests, replies and errors, made by the code, fit the schemas that the page shows."""
    assert (await client.get("/docs.json")).json() == openapi()
    visit = json.loads(json_format.MessageToJson(a_visit()))
    jsonschema.validate(visit, described("micromoment.v1.ScoreRequest"))
    reply = (await client.post(SCORE, json.dumps(visit))).json()
    assert reply["reasons"]
    assert "NaN" in reply["featureVector"]["values"]
    jsonschema.validate(reply, described("micromoment.v1.ScoreResponse"))
    session = (await client.post(BY_NAME["GetSession"], '{"sessionId": "s"}')).json()
    jsonschema.validate(session, described("micromoment.v1.GetSessionResponse"))
    batch = json.dumps({"requests": [visit, {}]})
    results = (await client.post(BY_NAME["BatchScore"], batch)).json()
    jsonschema.validate(results, described("micromoment.v1.BatchScoreResponse"))
    refused = (await client.post(SCORE, "{}")).json()
    jsonschema.validate(refused, described("google.rpc.Status"))
    for wrong in ({**reply, "eventsSeen": 1}, {**reply, "journeyStage": "x"}, {"conversion": 0.5}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, described("micromoment.v1.ScoreResponse"))


def test_every_call_and_field_is_described_in_words() -> None:
    """The contract's comments are in the page: of calls, messages, fields and enums."""
    description = openapi()
    assert {method.path for method in METHODS} < set(description["paths"])
    schemas = description["components"]["schemas"]
    ours = {name: schema for name, schema in schemas.items() if name.startswith("micromoment.")}
    assert len(ours) > 20
    for name, schema in ours.items():
        assert schema["description"], name
        for field, of_field in schema.get("properties", {}).items():
            assert of_field["description"], (name, field)


async def test_the_page_loads_nothing_from_elsewhere(client: HttpClient) -> None:
    """What it names lies on this server; BentoML's own page would load a tag manager."""
    page = (await client.get("/")).text
    assert "SwaggerUIBundle" in page
    assert "://" not in page
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert f"./static_content/{name}" in page
        assert (await client.get(f"/static_content/{name}")).status_code == httpx.codes.OK


async def test_the_documented_call_is_answered(client: HttpClient) -> None:
    """The body of the first call in docs/http.md is one, and the addresses in its table exist."""
    page = (ROOT / "docs/http.md").read_text(encoding="utf-8")
    body = page.split("-d '")[1].split("' localhost")[0]
    assert (await client.post(SCORE, body)).json()["eventsSeen"] == "1"
    listed = set(re.findall(r"^\| `(?:POST|GET) (/\w*(?:[/.]\w+)?)`", page, re.MULTILINE))
    assert {method.path for method in METHODS} < listed
    for path in listed - {method.path for method in METHODS}:
        assert (await client.get(path)).status_code == httpx.codes.OK, path


async def test_health_and_metrics_are_there(client: HttpClient) -> None:
    """BentoML's probes answer, and calls are counted as over gRPC."""
    await client.post(SCORE, "{}")
    assert (await client.get("/livez")).status_code == httpx.codes.OK
    assert (await client.get("/readyz")).status_code == httpx.codes.OK
    metrics = (await client.get("/metrics")).text
    counted = 'micromoment_call_seconds_count{code="INVALID_ARGUMENT",method="Score"} 1.0'
    assert counted in metrics
    assert "micromoment_serving 1.0" in metrics


async def test_sessions_outlive_a_restart(settings: Settings) -> None:
    """A new front door goes on where the last one stopped."""
    for number in (1, 2):
        async with a_front_door(settings) as client:
            body = json_format.MessageToJson(a_visit())
            reply = (await client.post(SCORE, body)).json()
            assert reply["eventsSeen"] == str(number)


async def test_calls_beyond_the_limit_are_refused() -> None:
    """They are 429 with a hint when to come back, as RESOURCE_EXHAUSTED over gRPC."""
    async with a_door(an_application(), max_concurrent=0) as client:
        answer = await client.post(SCORE, json_format.MessageToJson(a_visit()))
    assert answer.status_code == httpx.codes.TOO_MANY_REQUESTS
    assert answer.json()["details"][1]["retryDelay"] == "0.100s"


async def test_a_call_ends_with_the_servers_deadline() -> None:
    """It is 504, as DEADLINE_EXCEEDED over gRPC."""
    application = an_application(users=SlowUsers(delay_s=60.0), user_timeout_s=60.0)
    async with a_door(application, default_deadline_s=0.05) as client:
        answer = await client.post(SCORE, json_format.MessageToJson(a_visit()))
    assert answer.status_code == httpx.codes.GATEWAY_TIMEOUT
    assert answer.json()["details"][0]["reason"] == "DEADLINE_EXCEEDED"


async def test_while_it_loads_calls_are_unavailable() -> None:
    """They are 503, as UNAVAILABLE over gRPC."""
    async with a_door(None) as client:
        answer = await client.post(SCORE, json_format.MessageToJson(a_visit()))
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert answer.json()["details"][0]["reason"] == "NOT_READY"


async def test_an_unexpected_error_shows_nothing_but_a_correlation_id() -> None:
    """It is 500 and does not tell the error's message."""
    application = an_application(CountingScorer(failure=KeyError("jane@example.com")))
    async with a_door(application) as client:
        answer = await client.post(SCORE, json_format.MessageToJson(a_visit()))
    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert answer.json()["message"].startswith("internal error, correlation id ")
    assert "jane" not in answer.text


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    """After `default_deadline` it is 408, and the message names no content."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async with a_door(an_application(), default_deadline_s=0.2) as client:
        headers = {"content-type": "application/json"}
        answer = await client.http.post("/v1/score", content=drip(), headers=headers)
    assert answer.status_code == httpx.codes.REQUEST_TIMEOUT
    assert answer.json()["message"] == "body: did not arrive in time"


def test_every_status_has_its_code() -> None:
    """No gRPC status is without an HTTP one."""
    assert set(HTTP_CODES) == set(grpc.StatusCode)


async def test_a_missing_bundle_ends_the_start(settings: Settings) -> None:
    """The error names the bundle."""
    with pytest.raises(BundleError, match="nothing:latest"):
        async with a_front_door(settings.model_copy(update={"bundle": "nothing:latest"})):
            pass

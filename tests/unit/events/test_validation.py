"""The contract's limits: what is allowed and the next thing, which is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.errors import InvalidRequestError
from micromoment.events.field_rules import MAX_VIOLATIONS
from micromoment.events.identity import IdEncoder
from micromoment.events.shop import Shop
from micromoment.events.validation import (
    check_batch_score_request,
    check_get_session_request,
    check_ingest_request,
    check_score_request,
    check_stream_scores_request,
)
from micromoment.transport.decoding import RequestDecoder
from micromoment.transport.request_rules import ALL_RULES
from micromoment.v1 import events_pb2 as events
from micromoment.v1 import scoring_pb2 as scoring
from tests.support.contract_limits import is_own_message, request_messages

GOOD_TIME = Timestamp(seconds=1_700_000_000)
SECRET = "s3cr3t"  # pragma: allowlist secret - made up


def an_event(**fields: object) -> events.Event:
    """Make a valid event, but for what is given."""
    known: dict[str, Any] = {
        "event_id": "e1",
        "type": events.EVENT_TYPE_PAGE_VIEW,
        "event_time": GOOD_TIME,
    }
    return events.Event(**(known | fields))


def a_request(*requested: events.Event) -> scoring.ScoreRequest:
    """Make a request with events."""
    return scoring.ScoreRequest(session_id="s1", events=requested)


def violations_of(check: Callable[[Any], object], request: object) -> dict[str, str]:
    """Give each violation's field and description, none for a good request."""
    try:
        check(request)
    except InvalidRequestError as error:
        found = {violation.field: violation.description for violation in error.violations}
    else:
        found = {}
    if isinstance(request, scoring.ScoreRequest):
        assert is_decoded(request) == (not found)
    return found


def is_decoded(request: scoring.ScoreRequest) -> bool:
    """Tell whether the decoder, which knows the limits by itself, takes the request."""
    try:
        RequestDecoder(Shop(), IdEncoder()).score_call(request)
    except InvalidRequestError:
        return False
    return True


def fields_of_event(**fields: object) -> dict[str, str]:
    """Give what is wrong with an event that has these fields."""
    return violations_of(check_score_request, a_request(an_event(**fields)))


def fields_of_item(**fields: object) -> dict[str, str]:
    """Give what is wrong with an item that has these fields."""
    known: dict[str, Any] = {"item_id": "i1"} | fields
    return fields_of_event(items=[events.Item(**known)])


TEXT_256 = "é" * 128
TEXT_257 = "é" * 128 + "x"

EVENT_LIMITS = [
    ("event_id", TEXT_256, TEXT_257),
    ("order_id", TEXT_256, TEXT_257),
    ("locale", TEXT_256, TEXT_257),
    ("type", 48, 49),
    ("device", 5, 6),
    ("sequence", 1, 0),
    ("value_micros", 0, -1),
    ("currency", "EUR", "eur"),
    ("currency", "", "EURO"),
    ("utc_offset_minutes", 840, 841),
    ("utc_offset_minutes", -840, -841),
    ("scroll_percent", 100.0, 100.00001),
    ("scroll_percent", 0.0, -0.00001),
    ("scroll_percent", 50.0, float("nan")),
    ("scroll_percent", 50.0, float("inf")),
    ("dwell_ms", 86_400_000, 86_400_001),
    ("hover_ms", 0, -1),
    ("engagement_ms", 86_400_000, 86_400_001),
    ("items", [events.Item(item_id="i")] * 50, [events.Item(item_id="i")] * 51),
    ("attributes", {str(n): "" for n in range(32)}, {str(n): "" for n in range(33)}),
    ("attributes", {TEXT_256: TEXT_256}, {TEXT_257: ""}),
    ("attributes", {"": TEXT_256}, {"": TEXT_257}),
    ("event_time", Timestamp(seconds=946_684_800), Timestamp(seconds=946_684_799)),
    (
        "event_time",
        Timestamp(seconds=4_102_444_800),
        Timestamp(seconds=4_102_444_800, nanos=1),
    ),
    (
        "event_time",
        Timestamp(seconds=1_700_000_000, nanos=999_999_999),
        Timestamp(seconds=1_700_000_000, nanos=1_000_000_000),
    ),
    ("event_time", GOOD_TIME, Timestamp(seconds=1_700_000_000, nanos=-1)),
]


@pytest.mark.parametrize(("field", "allowed", "refused"), EVENT_LIMITS)
def test_an_events_limits_are_exact(field: str, allowed: object, refused: object) -> None:
    """The last allowed value passes and the next is refused under the field's own path."""
    assert fields_of_event(**{field: allowed}) == {}
    assert list(fields_of_event(**{field: refused})) == [f"events[0].{field}"]


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("item_id", TEXT_256, TEXT_257),
        ("category_path", [TEXT_256] * 5, [""] * 6),
        ("category_path", [TEXT_256], ["", TEXT_257]),
        ("brand", TEXT_256, TEXT_257),
        ("price_micros", 0, -1),
        ("price_micros", 2**63 - 1, -(2**63)),
        ("quantity", 1, 0),
        ("quantity", 1_000_000, 1_000_001),
        ("position", 1, 0),
        ("position", 100_000, 100_001),
    ],
)
def test_an_items_limits_are_exact(field: str, allowed: object, refused: object) -> None:
    """The last allowed value passes and the next is refused under the field's own path."""
    assert fields_of_item(**{field: allowed}) == {}
    assert list(fields_of_item(**{field: refused})) == [f"events[0].items[0].{field}"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("page.page_id", {"page": events.Page(page_id=TEXT_257)}),
        ("page.title", {"page": events.Page(title=TEXT_257)}),
        ("page.type", {"page": events.Page(type=13)}),  # type: ignore[arg-type] # on purpose
        ("referrer.campaign", {"referrer": events.Referrer(campaign=TEXT_257)}),
        ("referrer.source", {"referrer": events.Referrer(source=TEXT_257)}),
        ("referrer.medium", {"referrer": events.Referrer(medium=10)}),  # type: ignore[arg-type] # on purpose
        ("consent.analytics", {"consent": events.Consent(analytics=3)}),  # type: ignore[arg-type] # on purpose
        ("consent.ads", {"consent": events.Consent(ads=-1)}),  # type: ignore[arg-type] # on purpose
    ],
)
def test_messages_inside_an_event_are_judged_too(path: str, fields: dict[str, Any]) -> None:
    """A violation in a nested message has the whole path."""
    assert list(fields_of_event(**fields)) == [f"events[0].{path}"]


@pytest.mark.parametrize("field", ["event_id", "type", "event_time"])
def test_an_event_needs_id_type_and_time(field: str) -> None:
    """Each is called required when it is absent or empty."""
    event = an_event()
    event.ClearField(field)  # type: ignore[arg-type] # one of the names above
    assert violations_of(check_score_request, a_request(event)) == {
        f"events[0].{field}": "required"
    }


@pytest.mark.parametrize("field", ["session_id", "user_id", "anonymous_id"])
def test_ids_of_a_request_are_limited(field: str) -> None:
    """256 bytes pass, 257 are refused."""
    request = a_request(an_event())
    setattr(request, field, TEXT_256)
    assert violations_of(check_score_request, request) == {}
    setattr(request, field, TEXT_257)
    assert list(violations_of(check_score_request, request)) == [field]


def test_a_request_takes_200_events() -> None:
    """200 events pass; 201 are refused as a whole, without judging each."""
    assert violations_of(check_score_request, a_request(*[an_event()] * 200)) == {}
    found = violations_of(check_score_request, a_request(*[events.Event()] * 201))
    assert found == {"events": "more than 200 entries"}


def test_as_of_has_the_window_of_event_times() -> None:
    """A time before the year 2000 is refused."""
    request = a_request()
    request.as_of.CopyFrom(Timestamp(seconds=946_684_799))
    assert list(violations_of(check_score_request, request)) == ["as_of"]


def test_a_batch_takes_1_to_500_requests() -> None:
    """None is required to be there, 500 pass, 501 are refused; items aren't judged here."""
    batch = scoring.BatchScoreRequest
    one = scoring.ScoreRequest()
    assert violations_of(check_batch_score_request, batch(requests=[one] * 500)) == {}
    for requests in ([], [one] * 501):
        assert list(violations_of(check_batch_score_request, batch(requests=requests))) == [
            "requests"
        ]


def test_a_request_on_a_stream_holds_one_to_score() -> None:
    """It is required, and the id has at most 256 bytes; what it asks isn't judged here."""
    one = scoring.StreamScoresRequest
    check = check_stream_scores_request
    assert violations_of(check, one(request=scoring.ScoreRequest(), request_id="x" * 256)) == {}
    found = violations_of(check, one(request_id="x" * 257))
    assert found == {"request": "required", "request_id": "longer than 256 bytes"}


def test_a_session_is_asked_for_by_its_id() -> None:
    """GetSession without an id is refused."""
    found = violations_of(check_get_session_request, scoring.GetSessionRequest())
    assert found == {"session_id": "required"}


def test_at_most_20_violations_are_listed() -> None:
    """A request that is wrong everywhere lists 20 violations."""
    found = violations_of(check_score_request, a_request(*[events.Event()] * 200))
    assert len(found) == MAX_VIOLATIONS == 20


def test_violations_never_hold_the_value() -> None:
    """What is said about a bad value does not contain it."""
    long = SECRET * 100
    event = an_event(
        event_id=long,
        order_id=long,
        currency=SECRET,
        attributes={long: long},
        items=[events.Item(item_id=long, category_path=[long])],
    )
    with pytest.raises(InvalidRequestError) as caught:
        check_score_request(a_request(event))
    assert len(caught.value.violations) == 6
    assert SECRET not in str(caught.value)


def test_control_characters_are_text() -> None:
    """Any character may stand in a text."""
    assert fields_of_event(event_id="a\x00\x1f\n\u202e") == {}


def test_ingest_needs_somebody_and_something() -> None:
    """An id of the visitor and an event are required."""
    found = violations_of(check_ingest_request, events.IngestRequest(session_id="s1"))
    assert list(found) == ["events", "user_id"]


def test_ingest_refuses_single_events() -> None:
    """A bad event is named by its place in the request, the others are not."""
    request = events.IngestRequest(
        session_id="s1", user_id="u", events=[an_event(), an_event(dwell_ms=-1), an_event()]
    )
    refused = check_ingest_request(request)
    assert [v.field for v in refused[1].violations] == ["events[1].dwell_ms"]
    assert list(refused) == [1]


@pytest.mark.parametrize(
    ("event_type", "taken"),
    [
        (events.EVENT_TYPE_PURCHASE, True),
        (events.EVENT_TYPE_REFUND, True),
        (events.EVENT_TYPE_CANCEL, True),
        (events.EVENT_TYPE_EMAIL_OPEN, True),
        (events.EVENT_TYPE_SUPPORT_CONTACT, True),
        (events.EVENT_TYPE_PAGE_VIEW, False),
        (events.EVENT_TYPE_CART_ADD, False),
    ],
)
def test_outside_a_visit_facts_are_taken_and_behaviour_is_not(
    event_type: events.EventType.ValueType, taken: bool
) -> None:
    """Without a session id only the types that the contract lists pass."""
    request = events.IngestRequest(user_id="u", events=[an_event(type=event_type)])
    assert (check_ingest_request(request) == {}) is taken


def test_every_field_that_a_caller_can_send_has_a_rule() -> None:
    """A new field without a rule fails here, and so does a rule without a field."""
    rules = {r.message_type.DESCRIPTOR.full_name: r.field_names for r in ALL_RULES}
    contract = {
        message.full_name: frozenset(field.name for field in message.fields)
        for message in request_messages()
    }
    assert rules == contract


def test_every_message_inside_a_message_is_judged() -> None:
    """A field that holds messages leads to their rules, but for items judged one by one."""
    judged_apart = {
        "micromoment.v1.BatchScoreRequest.requests",
        "micromoment.v1.StreamScoresRequest.request",
        "micromoment.v1.IngestRequest.events",
    }
    inside = {
        f"{r.message_type.DESCRIPTOR.full_name}.{name}" for r in ALL_RULES for name in r.inside
    }
    contract = {
        field.full_name
        for message in request_messages()
        for field in message.fields
        if is_own_message(field)
    }
    assert inside == contract - judged_apart

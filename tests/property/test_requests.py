"""From requests to records: everything inside the contract's limits, and random bytes."""

from __future__ import annotations

from contextlib import suppress

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from micromoment.errors import InvalidRequestError
from micromoment.events.identity import IdEncoder
from micromoment.events.shop import Shop
from micromoment.transport.decoding import RequestDecoder
from micromoment.v1 import scoring_pb2
from tests.support.messages import REQUESTS

DECODER = RequestDecoder(Shop("EUR", "Europe/Berlin"), IdEncoder(), lambda: 1_700_000_000_000_000)


@given(REQUESTS)
def test_whatever_keeps_the_contract_is_decoded(request: scoring_pb2.ScoreRequest) -> None:
    """No value inside the limits, the ends included, makes an error or loses an event."""
    visit = DECODER.score_call(request)
    events, items = visit.call.batch.events, visit.call.batch.items
    assert len(items) == sum(len(event.items) for event in request.events)
    assert events["event_time"].tolist() == [
        event.event_time.ToMicroseconds() for event in request.events
    ]
    assert items["quantity"].tolist() == [
        item.quantity for event in request.events for item in event.items
    ]


@given(st.binary(max_size=200))
def test_bytes_are_decoded_or_refused_by_field(data: bytes) -> None:
    """Bytes that happen to be a message are judged like any other request."""
    request = scoring_pb2.ScoreRequest()
    with suppress(DecodeError, InvalidRequestError):
        request.ParseFromString(data)
        assert DECODER.score_call(request).call.key.session_id

"""Messages over HTTP: nothing is lost on the way into JSON and back."""

from __future__ import annotations

import json
import math
from contextlib import suppress

from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from micromoment.errors import InvalidRequestError
from micromoment.http.json_codec import parse_request, to_json
from micromoment.http.methods import METHODS
from micromoment.transport.errors import UndecodableRequestError
from micromoment.v1 import scoring_pb2 as pb
from tests.support.messages import REQUESTS, TEXT, TIMES, a_message, between

SCORE = METHODS[0]
# Missing, or a number; the very largest float is written as one that protobuf's reader refuses.
FEATURES = st.just(math.nan) | st.floats(-(2.0**127), 2.0**127, width=32)
PROBABILITIES = st.floats(0, 1)
REPLIES = a_message(
    pb.ScoreResponse,
    {},
    session_id=TEXT,
    conversion=PROBABILITIES,
    abandonment=PROBABILITIES,
    converted=st.booleans(),
    churn=a_message(
        pb.Churn,
        {"probability": PROBABILITIES},
        expected_orders=st.floats(0, 1e9),
        expected_value_micros=between(0, 2**63 - 1),
    ),
    journey_stage=between(0, 4),
    events_seen=between(0, 2**63 - 1),
    degraded=st.lists(between(1, 7), max_size=3),
    feature_vector=a_message(pb.FeatureVector, {}, values=st.lists(FEATURES)),
    as_of=TIMES,
)


@given(REQUESTS)
def test_a_request_is_the_same_as_json(request: pb.ScoreRequest) -> None:
    """What a client writes with protobuf's own JSON is read as it was, to the last bit."""
    body = json_format.MessageToJson(request).encode()
    read = parse_request(body, SCORE)
    assert read.SerializeToString(deterministic=True) == request.SerializeToString(
        deterministic=True
    )


@given(REPLIES)
def test_a_reply_is_the_same_as_json(reply: pb.ScoreResponse) -> None:
    """Doubles, floats, NaN and 64-bit integers are read as they were; what is absent stays so."""
    read = json_format.Parse(to_json(reply), pb.ScoreResponse())
    assert read.SerializeToString(deterministic=True) == reply.SerializeToString(deterministic=True)


@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Whatever is sent is a message or one of two errors, never another."""
    with suppress(InvalidRequestError, UndecodableRequestError):
        parse_request(body, SCORE)


KEYS = ["sessionId", "session_id", "events", "type", "items", "priceMicros", "asOf", "x"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    """The same for JSON with the contract's names in wrong places."""
    with suppress(InvalidRequestError, UndecodableRequestError):
        parse_request(json.dumps(value).encode(), SCORE)

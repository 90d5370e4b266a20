"""The contract's limits, one rule per field of every message that a caller sends.

`protos/micromoment/v1` states the same limits in words. Everything behind this module may rely on
them; a request that breaks them raises `InvalidRequestError`, which names fields and no values.
"""

from __future__ import annotations

from typing import Final

from micromoment.errors import FieldViolation, InvalidRequestError
from micromoment.events.field_rules import (
    MessageRules,
    anything,
    at_least,
    count,
    currency,
    moment,
    number,
    text,
    text_map,
    texts,
    word_of,
)
from micromoment.events.limits import (
    MAX_ATTRIBUTES,
    MAX_BATCH_REQUESTS,
    MAX_CATEGORY_LEVELS,
    MAX_DURATION_MS,
    MAX_EVENTS,
    MAX_ITEMS,
    MAX_POSITION,
    MAX_QUANTITY,
    MAX_UTC_OFFSET,
)
from micromoment.events.vocabulary import OUTSIDE_VISIT_TYPES
from micromoment.v1 import events_pb2 as events
from micromoment.v1 import scoring_pb2 as scoring

_consent_state = word_of(events.ConsentState.DESCRIPTOR)
_duration_ms = number(0, MAX_DURATION_MS)
_OUTSIDE_VISIT: Final = frozenset(int(event_type) for event_type in OUTSIDE_VISIT_TYPES)

CONSENT: Final = MessageRules(
    events.Consent,
    {
        "analytics": _consent_state,
        "personalization": _consent_state,
        "ads": _consent_state,
        "global_privacy_control": anything,
    },
)
ITEM: Final = MessageRules(
    events.Item,
    {
        "item_id": text,
        "category_path": texts(MAX_CATEGORY_LEVELS),
        "brand": text,
        "price_micros": at_least(0),
        "quantity": number(1, MAX_QUANTITY),
        "position": number(1, MAX_POSITION),
        "on_sale": anything,
    },
    required=("item_id",),
)
PAGE: Final = MessageRules(
    events.Page,
    {"page_id": text, "type": word_of(events.PageType.DESCRIPTOR), "title": text},
)
REFERRER: Final = MessageRules(
    events.Referrer,
    {"medium": word_of(events.ReferrerMedium.DESCRIPTOR), "campaign": text, "source": text},
)
EVENT: Final = MessageRules(
    events.Event,
    {
        "event_id": text,
        "type": word_of(events.EventType.DESCRIPTOR),
        "event_time": moment,
        "sequence": at_least(1),
        "items": count(MAX_ITEMS),
        "order_id": text,
        "value_micros": at_least(0),
        "currency": currency,
        "page": anything,
        "referrer": anything,
        "device": word_of(events.DeviceType.DESCRIPTOR),
        "locale": text,
        "utc_offset_minutes": number(-MAX_UTC_OFFSET, MAX_UTC_OFFSET),
        "scroll_percent": number(0, 100),
        "dwell_ms": _duration_ms,
        "hover_ms": _duration_ms,
        "engagement_ms": _duration_ms,
        "search_terms_hash": anything,
        "consent": anything,
        "is_bot": anything,
        "attributes": text_map(MAX_ATTRIBUTES),
    },
    required=("event_id", "type", "event_time"),
    inside={"items": ITEM, "page": PAGE, "referrer": REFERRER, "consent": CONSENT},
)
SCORE_REQUEST: Final = MessageRules(
    scoring.ScoreRequest,
    {
        "session_id": text,
        "user_id": text,
        "anonymous_id": text,
        "events": count(MAX_EVENTS),
        "as_of": moment,
        "explain": anything,
        "include_features": anything,
        "dry_run": anything,
        "consent": anything,
    },
    required=("session_id",),
    inside={"events": EVENT, "consent": CONSENT},
)
# Its requests are judged one by one: each succeeds or fails by itself.
BATCH_SCORE_REQUEST: Final = MessageRules(
    scoring.BatchScoreRequest,
    {"requests": count(MAX_BATCH_REQUESTS)},
    required=("requests",),
)
# The request on the stream is judged as one of Score.
STREAM_SCORES_REQUEST: Final = MessageRules(
    scoring.StreamScoresRequest,
    {"request_id": text, "request": anything},
    required=("request",),
)
GET_SESSION_REQUEST: Final = MessageRules(
    scoring.GetSessionRequest,
    {"session_id": text, "explain": anything},
    required=("session_id",),
)
# Its events are judged one by one, too.
INGEST_REQUEST: Final = MessageRules(
    events.IngestRequest,
    {
        "session_id": text,
        "user_id": text,
        "anonymous_id": text,
        "events": count(MAX_EVENTS),
        "consent": anything,
    },
    required=("events",),
    inside={"consent": CONSENT},
)
ALL_RULES: Final = (
    CONSENT,
    ITEM,
    PAGE,
    REFERRER,
    EVENT,
    SCORE_REQUEST,
    BATCH_SCORE_REQUEST,
    STREAM_SCORES_REQUEST,
    GET_SESSION_REQUEST,
    INGEST_REQUEST,
)


def check_score_request(request: scoring.ScoreRequest) -> None:
    """Raise `InvalidRequestError` unless the request keeps to the contract."""
    found: list[FieldViolation] = []
    SCORE_REQUEST.collect(request, "", found)
    _raise_any(found)


def check_batch_score_request(request: scoring.BatchScoreRequest) -> None:
    """Raise `InvalidRequestError` unless the number of requests is right; each is its own case."""
    found: list[FieldViolation] = []
    BATCH_SCORE_REQUEST.collect(request, "", found)
    _raise_any(found)


def check_stream_scores_request(request: scoring.StreamScoresRequest) -> None:
    """Raise `InvalidRequestError` unless it has a request and a short id; the rest is Score's."""
    found: list[FieldViolation] = []
    STREAM_SCORES_REQUEST.collect(request, "", found)
    _raise_any(found)


def check_get_session_request(request: scoring.GetSessionRequest) -> None:
    """Raise `InvalidRequestError` unless the request keeps to the contract."""
    found: list[FieldViolation] = []
    GET_SESSION_REQUEST.collect(request, "", found)
    _raise_any(found)


def check_ingest_request(request: events.IngestRequest) -> dict[int, InvalidRequestError]:
    """Give what is wrong with single events, by their place; the others may be taken.

    Raises `InvalidRequestError` when the request around them breaks the contract.
    """
    found: list[FieldViolation] = []
    INGEST_REQUEST.collect(request, "", found)
    if not request.user_id and not request.anonymous_id:
        found.append(FieldViolation("user_id", "one of user_id and anonymous_id is required"))
    _raise_any(found)
    refused = {}
    for index, event in enumerate(request.events):
        violations: list[FieldViolation] = []
        EVENT.collect(event, f"events[{index}].", violations)
        if not request.session_id and event.type and int(event.type) not in _OUTSIDE_VISIT:
            violations.append(
                FieldViolation(f"events[{index}].type", "not taken without a session_id")
            )
        if violations:
            refused[index] = InvalidRequestError(violations)
    return refused


def _raise_any(found: list[FieldViolation]) -> None:
    if found:
        raise InvalidRequestError(found)

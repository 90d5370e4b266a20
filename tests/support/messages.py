"""Strategies for requests inside the contract's limits, as protobuf messages."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from micromoment.v1 import events_pb2 as pb
from micromoment.v1 import scoring_pb2

TEXT = st.text(max_size=64)
ID = st.text(min_size=1, max_size=64)
MICROS = st.integers(0, 2**63 - 1)


def between(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers of a range, its ends above all."""
    return st.sampled_from([low, high]) | st.integers(low, high)


def a_message(
    message: type[Any],
    required: dict[str, st.SearchStrategy[Any]],
    **optional: st.SearchStrategy[Any],
) -> st.SearchStrategy[Any]:
    """Messages with the required and any of the optional fields set."""
    return st.fixed_dictionaries(required, optional=optional).map(lambda given: message(**given))


TIMES = st.builds(
    Timestamp, seconds=between(946_684_800, 4_102_444_799), nanos=between(0, 999_999_999)
)
ITEMS = a_message(
    pb.Item,
    {"item_id": ID},
    category_path=st.lists(TEXT, max_size=5),
    brand=TEXT,
    price_micros=MICROS,
    quantity=between(1, 1_000_000),
    position=between(1, 100_000),
    on_sale=st.booleans(),
)
EVENTS = a_message(
    pb.Event,
    {"event_id": ID, "type": between(1, 48), "event_time": TIMES},
    sequence=between(1, 2**63 - 1),
    items=st.lists(ITEMS, max_size=3),
    order_id=TEXT,
    value_micros=MICROS,
    currency=st.sampled_from(["", "EUR", "USD"]),
    page=a_message(pb.Page, {}, page_id=TEXT, type=between(0, 12), title=TEXT),
    referrer=a_message(pb.Referrer, {}, medium=between(0, 9), campaign=TEXT, source=TEXT),
    device=between(0, 5),
    utc_offset_minutes=between(-840, 840),
    scroll_percent=st.floats(0, 100),
    dwell_ms=between(0, 86_400_000),
    hover_ms=between(0, 86_400_000),
    engagement_ms=between(0, 86_400_000),
    search_terms_hash=between(0, 2**64 - 1),
    consent=a_message(
        pb.Consent, {}, analytics=between(0, 2), global_privacy_control=st.booleans()
    ),
    is_bot=st.booleans(),
    attributes=st.dictionaries(TEXT, TEXT, max_size=3),
)
REQUESTS = a_message(
    scoring_pb2.ScoreRequest,
    {"session_id": ID},
    user_id=TEXT,
    anonymous_id=TEXT,
    events=st.lists(EVENTS, max_size=3),
    as_of=TIMES,
)

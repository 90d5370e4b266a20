"""From messages to records."""

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from micromoment.events.proto_codec import events_from_proto, micros_of
from micromoment.events.record import EVENT, ITEM, MISSING_MICROS
from micromoment.events.shop import Shop
from tests.support.events import START_US, AnItem, an_event


@pytest.mark.parametrize(
    ("seconds", "nanos", "micros"),
    [
        (946_684_801, 1_999, 946_684_801_000_001),
        (946_684_800, 999, 946_684_800_000_000),
        (4_102_444_800, 0, 4_102_444_800_000_000),
    ],
)
def test_times_are_kept_to_the_microsecond(seconds: int, nanos: int, micros: int) -> None:
    """Finer digits are dropped, never rounded up."""
    assert micros_of(Timestamp(seconds=seconds, nanos=nanos)) == micros
    event = an_event().to_proto()
    event.event_time.CopyFrom(Timestamp(seconds=seconds, nanos=nanos))
    assert events_from_proto([event], 0, 0, 0, Shop()).events[0]["event_time"] == micros


def test_the_request_s_own_facts_reach_each_event() -> None:
    """Visitor, user and time of arrival come from the request, alike for all its events."""
    messages = [an_event(event_id=f"e{n}").to_proto() for n in range(3)]
    events = events_from_proto(messages, 11, 7, START_US + 9, Shop()).events
    assert events["visitor"].tolist() == [11] * 3
    assert events["user"].tolist() == [7] * 3
    assert events["received_time"].tolist() == [START_US + 9] * 3


def test_zero_is_not_missing() -> None:
    """A price, a value or a time of 0 is a number; an absent one is missing."""
    zero = an_event(
        value_micros=0, dwell_ms=0, scroll_percent=0.0, utc_offset_minutes=0,
        items=(AnItem(price_micros=0, on_sale=False), AnItem()),
    )  # fmt: skip
    batch = events_from_proto([zero.to_proto()], 0, 0, 0, Shop(time_zone="Asia/Tokyo"))
    event = batch.events[0]
    assert (event["value"], event["dwell_ms"], event["scroll"], event["utc_offset"]) == (0, 0, 0, 0)
    assert batch.items["price"].tolist() == [0, MISSING_MICROS]
    assert batch.items["on_sale"].tolist() == [0, -1]


def test_no_events() -> None:
    """A request without events gives empty records of the right types."""
    batch = events_from_proto([], 1, 0, 0, Shop())
    assert (batch.events.dtype, batch.items.dtype) == (EVENT, ITEM)
    assert len(batch) == len(batch.items) == 0


def test_an_empty_message_inside_counts_as_absent() -> None:
    """An empty page, referrer or consent gives what its absence gives."""
    bare, hollow = an_event().to_proto(), an_event().to_proto()
    for name in ("page", "referrer", "consent"):
        bare.ClearField(name)
        hollow.ClearField(name)
    for name in ("page", "referrer", "consent"):
        getattr(hollow, name).SetInParent()
    records = [events_from_proto([event], 0, 0, 0, Shop()).events for event in (bare, hollow)]
    assert records[0].tobytes() == records[1].tobytes()
    assert np.isnan(records[0][0]["scroll"])

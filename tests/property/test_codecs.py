"""The same event gives the same bytes, whether it came from Parquet or over the wire."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.events.arrow_codec import events_from_arrow
from micromoment.events.hashing import hash_id
from micromoment.events.identity import IdEncoder, IdKey
from micromoment.events.proto_codec import events_from_proto
from micromoment.events.record import EVENT, EventBatch
from micromoment.events.shop import Shop
from tests.support.events import SECOND, AnEvent, to_batch, to_table
from tests.support.strategies import FIRST_US, LAST_US, whole_events

SHOPS = (Shop(), Shop("USD", "America/New_York"), Shop("EUR", "Australia/Lord_Howe"))
ENCODERS = (IdEncoder(), IdEncoder([IdKey("k2", b"new"), IdKey("k1", b"old")]))


def decode_messages(events: list[AnEvent], shop: Shop, ids: IdEncoder, received: int) -> EventBatch:
    """Decode as a server does: who the visitor is and when the request came is the request's."""
    one = events[0]
    user = hash_id(ids.encode(one.user_id))
    visitor = user or hash_id(ids.encode(one.anonymous_id))
    messages = [type(e.to_proto()).FromString(e.to_proto().SerializeToString()) for e in events]
    return events_from_proto(messages, visitor, user, received, shop)


@given(
    st.lists(whole_events, min_size=1, max_size=5),
    st.sampled_from(SHOPS),
    st.sampled_from(ENCODERS),
    st.sampled_from(["", "u1", "Ünï"]),
    st.sampled_from(["", "a1"]),
    st.integers(FIRST_US, LAST_US),
)
def test_both_codecs_give_the_same_bytes(
    drawn: list[AnEvent], shop: Shop, ids: IdEncoder, user: str, anonymous: str, time: int
) -> None:
    """Records of events and items are equal to the byte, padding and missing values included."""
    events = [
        replace(event, event_time=time, received_time=time, user_id=user, anonymous_id=anonymous)
        for event in drawn
    ]
    arrow = to_batch(events, shop, ids)
    proto = decode_messages(events, shop, ids, time)
    assert arrow.events.tobytes() == proto.events.tobytes()
    assert arrow.items.tobytes() == proto.items.tobytes()


@given(st.lists(whole_events, min_size=2, max_size=8), st.data())
def test_where_a_table_is_cut_changes_nothing(events: list[AnEvent], data: st.DataObject) -> None:
    """Chunks and slices of a table decode to the records of the whole table."""
    table = to_table(events)
    cut = data.draw(st.integers(1, len(events) - 1))
    whole = to_batch(events)
    n_before = sum(len(event.items) for event in events[:cut])
    later = events_from_arrow(table.slice(cut), Shop())
    assert later.items.tobytes() == whole.items[n_before:].tobytes()
    # NumPy's own copy would leave the padding undefined.
    expected = np.frombuffer(bytearray(whole.events[cut:].tobytes()), EVENT)
    expected["first_item"] -= n_before
    assert later.events.tobytes() == expected.tobytes()


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"])
@given(time=st.integers(FIRST_US, LAST_US))
def test_offsets_one_by_one_and_in_bulk_are_those_of_the_zone(zone: str, time: int) -> None:
    """Both codecs' look-ups of the shop's offset give what the time zone's rules say."""
    shop = Shop(time_zone=zone)
    offset = datetime.fromtimestamp(time // SECOND, UTC).astimezone(shop.zone).utcoffset()
    assert offset is not None
    expected = offset.total_seconds() // 60
    assert shop.utc_offset_minutes(time) == expected
    assert shop.utc_offsets_minutes(np.array([time])).tolist() == [expected]

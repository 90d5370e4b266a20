"""Logged events as rows: the same records as from the wire."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from micromoment.events.arrow_codec import events_from_arrow
from micromoment.events.hashing import hash_id
from micromoment.events.proto_codec import events_from_proto
from micromoment.events.schema import EVENT_SCHEMA
from micromoment.events.shop import Shop
from tests.support.events import AnEvent
from tests.support.strategies import whole_events
from training.importers.log.rows import event_row

SHOP = Shop("EUR", "Europe/Berlin")


@given(
    st.lists(whole_events, min_size=1, max_size=4), st.booleans(), st.sampled_from(["", "visitor"])
)
def test_a_row_has_the_bits_of_its_message(
    drawn: list[AnEvent], identified: bool, visitor_id: str
) -> None:
    """Whatever the contract lets an event hold: both codecs make the same records of it."""
    events = [one.to_proto() for one in drawn]
    received = 1_700_000_000_000_000
    visitor = hash_id(visitor_id)
    wire = events_from_proto(events, visitor, visitor if identified else 0, received, SHOP)
    rows = [
        event_row(
            one,
            session_id="s",
            source_seq=place,
            visitor_id=visitor_id,
            identified=identified,
            received_time_us=received,
        )
        for place, one in enumerate(events, start=1)
    ]
    file = events_from_arrow(pa.Table.from_pylist(rows, EVENT_SCHEMA), SHOP)
    assert file.events.tobytes() == wire.events.tobytes()
    assert file.items.tobytes() == wire.items.tobytes()

"""The records of events."""

from micromoment.events.record import EVENT, ITEM, empty_batch
from micromoment.events.schema import EVENT_SCHEMA, ITEM_TYPE


def test_records_are_small() -> None:
    """An event takes 136 bytes and an item 56, so that a day of a large shop fits into memory."""
    assert (EVENT.itemsize, ITEM.itemsize) == (136, 56)


def test_a_new_batch_is_zero() -> None:
    """Padding included, so that equal events have equal bytes."""
    batch = empty_batch(3, 2)
    assert len(batch) == 3
    assert not any(batch.events.tobytes())
    assert not any(batch.items.tobytes())


def test_what_an_event_file_must_hold() -> None:
    """Ids, type, time and place in the session are never missing; money is whole micros."""
    required = {field.name for field in EVENT_SCHEMA if not field.nullable}
    assert required == {"event_id", "type", "event_time", "session_id", "source_seq"}
    assert str(EVENT_SCHEMA.field("value_micros").type) == "int64"
    assert str(ITEM_TYPE.field("price_micros").type) == "int64"
    assert str(EVENT_SCHEMA.field("event_time").type) == "timestamp[us, tz=UTC]"

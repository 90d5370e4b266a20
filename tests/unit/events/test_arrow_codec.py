"""From Arrow to records, column by column."""

import numpy as np
import pyarrow as pa
import pytest

from micromoment.errors import InvalidDataError
from micromoment.events.arrow_codec import events_from_arrow
from micromoment.events.hashing import hash_id
from micromoment.events.identity import IdEncoder, IdKey
from micromoment.events.record import (
    FLAG_ADS_DENIED,
    FLAG_ANALYTICS_DENIED,
    FLAG_BOT,
    FLAG_FOREIGN_CURRENCY,
    FLAG_PERSONALIZATION_DENIED,
    FLAG_PRIVACY_CONTROL,
    MISSING_MICROS,
)
from micromoment.events.schema import EVENT_SCHEMA
from micromoment.events.shop import Shop
from micromoment.events.vocabulary import (
    ConsentState,
    DeviceType,
    EventType,
    PageType,
    ReferrerMedium,
)
from tests.support.events import START_US, AnItem, an_event, to_batch, to_table

FULL = an_event(
    event_id="e7",
    type=EventType.CART_ADD,
    received_time=START_US + 5,
    user_id="u1",
    items=(
        AnItem(
            item_id="sku",
            category_path=("shoes", "boots"),
            brand="B",
            price_micros=9_990_000,
            quantity=2,
            position=3,
            on_sale=True,
        ),
    ),
    order_id="o1",
    value_micros=19_980_000,
    currency="EUR",
    page_id="/p",
    page_type=PageType.ITEM,
    page_title="Boots",
    medium=ReferrerMedium.EMAIL,
    campaign="spring",
    source="letter",
    device=DeviceType.TABLET,
    locale="de-DE",
    utc_offset_minutes=-90,
    scroll_percent=12.3,
    dwell_ms=1,
    hover_ms=2,
    engagement_ms=3,
    search_terms_hash=2**64 - 1,
    is_bot=True,
)


def test_a_full_event() -> None:
    """Each column arrives in its field: strings as hashes, words as codes, money as micros."""
    batch = to_batch([FULL], Shop("EUR"))
    event, item = batch.events[0], batch.items[0]
    hashes = {
        "event_key": "e7", "user": "u1", "visitor": "u1", "page": "/p", "title": "Boots",
        "campaign": "spring", "source": "letter", "locale": "de-DE", "order": "o1",
    }  # fmt: skip
    for field, text in hashes.items():
        assert event[field] == hash_id(text), field
    numbers = {
        "event_time": START_US, "received_time": START_US + 5, "search_terms": 2**64 - 1,
        "value": 19_980_000, "dwell_ms": 1, "hover_ms": 2, "engagement_ms": 3, "n_items": 1,
        "first_item": 0, "utc_offset": -90, "flags": FLAG_BOT, "scroll": np.float32(12.3),
        "type": EventType.CART_ADD, "page_type": PageType.ITEM, "device": DeviceType.TABLET,
        "medium": ReferrerMedium.EMAIL,
    }  # fmt: skip
    for field, number in numbers.items():
        assert event[field] == number, field
    assert item["item"] == hash_id("sku")
    assert item["brand"] == hash_id("B")
    assert item["category"] == hash_id("shoes\x1fboots")
    assert item["top_category"] == hash_id("shoes")
    assert (item["price"], item["quantity"], item["position"]) == (9_990_000, 2, 3)
    assert item["on_sale"] == 1


def test_a_bare_event() -> None:
    """What is missing has its own value: 0 for hashes and codes, -1 for times, NaN for scroll."""
    batch = to_batch([an_event(anonymous_id="", items=(AnItem(),))])
    event, item = batch.events[0], batch.items[0]
    for field in ("user", "visitor", "page", "order", "search_terms", "device", "flags"):
        assert event[field] == 0, field
    assert event["received_time"] == event["event_time"]
    assert event["value"] == item["price"] == MISSING_MICROS
    assert event["dwell_ms"] == event["hover_ms"] == event["engagement_ms"] == -1
    assert np.isnan(event["scroll"])
    assert item["category"] == item["top_category"] == item["quantity"] == item["position"] == 0
    assert item["on_sale"] == -1


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"analytics": ConsentState.DENIED}, FLAG_ANALYTICS_DENIED),
        ({"personalization": ConsentState.DENIED}, FLAG_PERSONALIZATION_DENIED),
        ({"ads": ConsentState.DENIED}, FLAG_ADS_DENIED),
        ({"privacy_control": True}, FLAG_PRIVACY_CONTROL),
        ({"is_bot": True}, FLAG_BOT),
        ({"currency": "JPY"}, FLAG_FOREIGN_CURRENCY),
        ({"analytics": ConsentState.GRANTED, "currency": "EUR"}, 0),
    ],
)
def test_each_mark_sets_its_flag(fields: dict[str, object], flag: int) -> None:
    """A refusal, a mark or a foreign currency sets its bit and no other."""
    batch = to_batch([an_event(**fields)], Shop("EUR"))  # type: ignore[arg-type]
    assert batch.events[0]["flags"] == flag


def test_foreign_money_is_missing() -> None:
    """Value and prices in another currency are missing; a shop without one takes any."""
    yen = an_event(currency="JPY", value_micros=5, items=(AnItem(price_micros=7),))
    batch = to_batch([yen, an_event(value_micros=5, items=(AnItem(price_micros=7),))], Shop("EUR"))
    assert batch.events["value"].tolist() == [MISSING_MICROS, 5]
    assert batch.items["price"].tolist() == [MISSING_MICROS, 7]
    assert to_batch([yen]).events[0]["value"] == 5


def test_items_belong_to_their_events() -> None:
    """`first_item` and `n_items` find an event's own items among all."""
    visit = [an_event(items=tuple(AnItem(item_id=f"{n}{k}") for k in range(n))) for n in (2, 0, 3)]
    batch = to_batch(visit)
    for event, record in zip(visit, batch.events, strict=True):
        own = batch.items[record["first_item"] : record["first_item"] + record["n_items"]]
        assert own["item"].tolist() == [hash_id(item.item_id) for item in event.items]


def test_ids_of_people_pass_the_encoder() -> None:
    """User and visitor are encoded before they are hashed; ids of events are not."""
    ids = IdEncoder([IdKey("k1", b"secret")])
    visit = [an_event(user_id="u1"), an_event(user_id=""), an_event(user_id="", anonymous_id="")]
    events = to_batch(visit, ids=ids).events
    user, anonymous = hash_id(ids.encode("u1")), hash_id(ids.encode("a1"))
    assert events["visitor"].tolist() == [user, anonymous, 0]
    assert events["user"].tolist() == [user, 0, 0]
    assert (events["event_key"] == hash_id("e1")).all()


def test_no_rows() -> None:
    """An empty table gives empty records, not an error."""
    batch = events_from_arrow(EVENT_SCHEMA.empty_table(), Shop("EUR", "Europe/Berlin"))
    assert len(batch) == len(batch.items) == 0


def test_chunks_of_a_table() -> None:
    """A table in several chunks decodes like one in a single chunk."""
    pieces = [to_table([FULL]), EVENT_SCHEMA.empty_table(), to_table([an_event()])]
    whole = to_batch([FULL, an_event()])
    chunked = events_from_arrow(pa.concat_tables(pieces), Shop())
    assert chunked.events.tobytes() == whole.events.tobytes()
    assert chunked.items.tobytes() == whole.items.tobytes()


def test_a_missing_column_is_named() -> None:
    """A table without some columns is refused with their names."""
    table = to_table([FULL]).drop_columns(["page_id", "device"])
    with pytest.raises(InvalidDataError, match="columns are missing: page_id, device"):
        events_from_arrow(table, Shop())


@pytest.mark.parametrize("column", ["type", "page_type", "device", "referrer_medium",
                                    "consent_ads"])  # fmt: skip
def test_an_unknown_word_is_named_with_its_column(column: str) -> None:
    """A word that the vocabulary lacks is refused with the column's name."""
    table = to_table([FULL, FULL])
    place = table.column_names.index(column)
    words = pa.array(["nonsense", None if column != "type" else "search"])
    with pytest.raises(InvalidDataError, match=rf"column {column} .*nonsense"):
        events_from_arrow(table.set_column(place, column, words), Shop())


@pytest.mark.parametrize("column", ["event_id", "type", "event_time", "session_id", "source_seq"])
def test_what_each_event_must_have_is_asked_for(column: str) -> None:
    """A row without its id, type, time, session or place is refused with the column's name."""
    table = to_table([FULL, FULL, FULL])
    place = table.column_names.index(column)
    holes = pa.chunked_array([table[column].combine_chunks()[:1], pa.nulls(2, table[column].type)])
    with pytest.raises(InvalidDataError, match=rf"columns lack a value: {column} \(2 rows\)"):
        events_from_arrow(table.set_column(place, column, holes), Shop())

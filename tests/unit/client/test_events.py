"""Building events in the shop's own words."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from micromoment import client
from micromoment.client import event, item
from micromoment.events.validation import check_score_request
from micromoment.events.vocabulary import DeviceType, EventType, PageType, ReferrerMedium
from micromoment.v1 import events_pb2 as pb
from micromoment.v1 import scoring_pb2


def test_the_client_exports_what_it_means_to() -> None:
    """The names of the package are these."""
    assert set(client.__all__) == {
        "AccessOptions",
        "AsyncClient",
        "Client",
        "ScoreRefusedError",
        "ScoreStream",
        "Fallback",
        "FallbackReason",
        "consent",
        "consent_mode",
        "event",
        "is_fallback",
        "item",
        "may_personalize",
        "score_request",
    }
    assert all(hasattr(client, name) for name in client.__all__)


def test_a_built_event_keeps_the_contract() -> None:
    """An event with everything in it passes the server's validation."""
    built = event(
        "purchase",
        items=[item("i1", category=("a", "b"), brand="b", price="9.99", quantity=2, position=1)],
        page="/p",
        page_type="item",
        page_title="P",
        value=Decimal("19.98"),
        currency="EUR",
        referrer="paid",
        campaign="spring",
        source="engine",
        device="mobile",
        attributes={"k": "v"},
        order_id="o1",
        scroll_percent=50.0,
    )
    check_score_request(scoring_pb2.ScoreRequest(session_id="s", events=[built]))
    assert built.value_micros == 19_980_000
    assert built.items[0].price_micros == 9_990_000
    assert built.page.type == pb.PAGE_TYPE_ITEM
    assert built.referrer.medium == pb.REFERRER_MEDIUM_PAID
    assert (built.order_id, built.scroll_percent) == ("o1", 50.0)


def test_id_and_time_are_made() -> None:
    """Two events have two ids and the time of now."""
    one, other = event("page_view"), event("page_view")
    assert one.event_id != other.event_id
    assert abs(one.event_time.ToMicroseconds() - time.time_ns() // 1_000) < 5_000_000


def test_what_is_not_given_is_absent() -> None:
    """No empty page, no empty referrer, no value of 0."""
    built = event("search")
    assert {field.name for field, _ in built.ListFields()} == {"event_id", "type", "event_time"}
    assert {field.name for field, _ in item("i").ListFields()} == {"item_id"}


def test_a_time_keeps_its_microseconds_in_any_zone() -> None:
    """The same moment in two zones is one timestamp."""
    moment = datetime(2024, 5, 1, 12, 0, 0, 123_456, tzinfo=UTC)
    here = moment.astimezone(timezone(timedelta(hours=5)))
    times = {event("search", event_time=t).event_time.ToMicroseconds() for t in (moment, here)}
    assert times == {int(moment.timestamp()) * 1_000_000 + 123_456}


def test_a_time_without_a_zone_is_refused() -> None:
    """It could mean anything."""
    with pytest.raises(ValueError, match="time zone"):
        event("search", event_time=datetime(2024, 5, 1))  # noqa: DTZ001 - on purpose


@pytest.mark.parametrize(
    ("price", "micros"),
    [("0.1", 100_000), (Decimal("0.000001"), 1), (3, 3_000_000), ("19.99", 19_990_000)],
)
def test_money_is_exact(price: Decimal | str | int, micros: int) -> None:
    """A string, a Decimal or an integer becomes millionths without rounding errors."""
    assert item("i", price=price).price_micros == micros


def test_money_is_never_a_float() -> None:
    """A float is refused with advice."""
    with pytest.raises(TypeError, match=r"price is a float.*'19\.99'"):
        item("i", price=19.99)  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize(
    "amount", ["abc", "", "19,99", "NaN", "-Infinity", Decimal("sNaN"), "1e15", "1e999999999"]
)
def test_what_is_no_amount_is_refused_by_its_field(amount: Decimal | str) -> None:
    """A word, a comma, no number, or more than the contract can hold: the error names the field."""
    with pytest.raises(ValueError, match=r"^price is .*, no amount of money"):
        item("i", price=amount)
    with pytest.raises(ValueError, match=r"^value is .*, no amount of money"):
        event("purchase", value=amount)


def test_money_of_a_wrong_kind_is_refused_by_its_field() -> None:
    """The error names the field and the kind."""
    with pytest.raises(TypeError, match="price is a dict, no amount of money"):
        item("i", price={})  # type: ignore[arg-type] # on purpose


@pytest.mark.parametrize("field", ["page_type", "device", "referrer"])
def test_an_unknown_word_lists_the_known_ones(field: str) -> None:
    """The error names the word and what it could have been."""
    with pytest.raises(ValueError, match="'nothing' is none of unspecified, "):
        event("search", **{field: "nothing"})  # type: ignore[arg-type] # a name of the above


def test_every_word_of_the_vocabulary_can_be_used() -> None:
    """Types, pages, devices and referrers have the names of the event files."""
    for kind in EventType:
        assert event(kind.name.lower()).type == int(kind)
    for page in PageType:
        assert event("search", page_type=page.name.lower()).page.type == int(page)
    for device in DeviceType:
        assert event("search", device=device.name.lower()).device == int(device)
    for medium in ReferrerMedium:
        assert event("search", referrer=medium.name.lower()).referrer.medium == int(medium)


def test_an_option_that_there_is_not_is_refused() -> None:
    """A misspelt id would cost the visit its user's features, and nobody would see it."""
    misspelt: dict[str, Any] = {"anonymus_id": "browser-1"}
    with pytest.raises(TypeError, match=r"anonymus_id.*anonymous_id"):
        client.score_request("session-1", [], **misspelt)

"""E-mail addresses in texts of events."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from micromoment.client import event
from micromoment.events.arrow_codec import events_from_arrow
from micromoment.events.identity import IdEncoder, IdKey
from micromoment.events.masking import MASK, mask_events, masked
from micromoment.events.shop import Shop
from micromoment.transport.decoding import RequestDecoder
from micromoment.v1 import scoring_pb2 as pb
from tests.support.events import AnEvent, to_table

IDS = IdEncoder([IdKey("k1", b"0123456789abcdef")])


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/u/jane.doe@example.org/orders", f"/u/{MASK}/orders"),
        ("jane%40example.org", MASK),
        ("Jane <j+d@mail.example.co.uk>", f"Jane <{MASK}>"),
        ("a@b.cc,d@e.ff", f"{MASK},{MASK}"),
        ("/jörg@müller.de", f"/{MASK}"),
        ("/@home", "/@home"),
        ("50% @ noon", "50% @ noon"),
        ("@2x.png", "@2x.png"),
        ("/a/b", "/a/b"),
        ("", ""),
    ],
)
def test_an_address_is_masked_and_nothing_else(text: str, clean: str) -> None:
    """What stands around an address stays."""
    assert masked(text) == clean


@given(st.text(alphabet="ab.@%40-_ é", max_size=256))
def test_no_text_grows(text: str) -> None:
    """A masked text keeps all limits, and masking it again changes nothing."""
    assert len(masked(text).encode()) <= len(text.encode())
    assert masked(masked(text)) == masked(text)


def test_no_text_takes_long() -> None:
    """The longest text of the worst kind costs a fraction of a millisecond, not seconds."""
    started = time.process_time()
    for text in ("a@" * 128, "a" * 256 + "@", "a@" + "b." * 127, "%40" * 85, "a-" * 127 + "@b"):
        masked(text)
    assert time.process_time() - started < 1.0


def a_request() -> pb.ScoreRequest:
    """Make a request with an address in each text."""
    one = event(
        "purchase",
        event_id="e1",
        page="/u/jane@example.org",
        order_id="jane@example.org-1",
        attributes={"jane@example.org": "x", "note": "to jane%40example.org", "ok": "yes"},
    )
    one.page.title = "Hello jane@example.org"
    one.referrer.campaign = "jane@example.org"
    one.referrer.source = "jane@example.org"
    return pb.ScoreRequest(session_id="s", anonymous_id="a", events=[one])


def test_every_text_of_an_event_is_masked() -> None:
    """Pages, titles, campaigns, sources, order ids, keys and values of attributes."""
    request = a_request()
    assert mask_events(request.events) == 1
    assert b"jane" not in request.SerializeToString()
    assert dict(request.events[0].attributes) == {MASK: "x", "note": f"to {MASK}", "ok": "yes"}
    assert mask_events(request.events) == 0


def test_texts_are_masked_where_ids_become_pseudonyms() -> None:
    """Without keys texts stay as they come; with keys neither state nor log has an address."""
    told: list[int] = []
    plain = RequestDecoder(Shop(), IdEncoder(), masked=told.append).score_call(a_request())
    assert plain.events[0].page.page_id == "/u/jane@example.org"
    assert told == []
    keyed = RequestDecoder(Shop(), IDS, masked=told.append).score_call(a_request())
    assert keyed.events[0].page.page_id == f"/u/{MASK}"
    assert told == [1]
    assert keyed.call.batch.events["page"] != plain.call.batch.events["page"]


def test_files_and_requests_are_masked_alike() -> None:
    """Reading plain events with keys gives the bits that a server with these keys has."""
    table = to_table(
        [AnEvent(event_id="e1", page_id="/u/jane@example.org", session_id="s", user_id="u")]
    )
    read = events_from_arrow(table, Shop(), IDS)
    masked_before = table.set_column(
        table.column_names.index("page_id"), "page_id", pa.array([f"/u/{MASK}"])
    )
    same = events_from_arrow(masked_before, Shop(), IDS)
    assert read.events.tobytes() == same.events.tobytes()
    assert events_from_arrow(table, Shop()).events["page"] != read.events["page"]

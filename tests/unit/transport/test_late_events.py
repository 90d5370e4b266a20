"""Events from before an erasure: left out, counted, never kept."""

from __future__ import annotations

from datetime import UTC, datetime

from micromoment.events.identity import IdEncoder, IdKey
from micromoment.events.shop import Shop
from micromoment.scoring.calls import SessionKey
from micromoment.stores.tombstones import Tombstones, session_mark, visitor_mark
from micromoment.transport.decoding import RequestDecoder
from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb

NOW_US = 1_700_000_000_000_000


def an_event(number: int) -> events_pb2.Event:
    """Make an event of so many seconds after `NOW_US`, with a product."""
    event = events_pb2.Event(event_id=f"e{number}", type=events_pb2.EVENT_TYPE_ITEM_VIEW)
    event.event_time.FromDatetime(datetime.fromtimestamp(NOW_US / 1e6 + number, UTC))
    event.items.add(item_id=f"i{number}")
    event.sequence = number
    return event


def a_request(*numbers: int, **ids: str) -> pb.ScoreRequest:
    """Make a request of these events."""
    events = [an_event(number) for number in numbers]
    return pb.ScoreRequest(session_id="s", events=events, **ids)  # type: ignore[arg-type]


def decoder(*marks: bytes, keys: tuple[IdKey, ...] = ()) -> RequestDecoder:
    """Make a decoder to which whoever is marked was erased five seconds after `NOW_US`."""
    erased = Tombstones()
    erased.add(marks, NOW_US + 5_000_000)
    return RequestDecoder(Shop(), IdEncoder(keys), lambda: NOW_US + 60_000_000, erased=erased)


def test_only_what_came_after_counts() -> None:
    """Earlier events go with their ids and products; one of the very moment is earlier."""
    visit = decoder(visitor_mark("default", "u")).score_call(a_request(1, 5, 6, 9, user_id="u"))
    assert (visit.late, visit.is_late) == (2, False)
    call = visit.call
    assert call.event_ids == ("e6", "e9")
    assert [event.event_id for event in visit.events] == ["e6", "e9"]
    assert len(call.batch) == 2
    whole = decoder().score_call(a_request(6, 9, user_id="u")).call.batch
    for ours, theirs in zip(call.batch.events, whole.events, strict=True):
        first, other = int(ours["first_item"]), int(theirs["first_item"])
        assert call.batch.items[first] == whole.items[other]
    # What is missing before it is no loss.
    assert call.first_sequence is None
    assert not call.dry_run


def test_a_call_of_late_events_is_a_dry_run() -> None:
    """It is answered from them, and neither kept nor logged."""
    visit = decoder(visitor_mark("default", "u")).score_call(a_request(1, 2, user_id="u"))
    assert (visit.late, visit.is_late, visit.call.dry_run) == (2, True, True)
    assert visit.call.event_ids == ("e1", "e2")


def test_a_session_that_was_erased_counts_without_its_visitor() -> None:
    """Events of it that name nobody are late as well."""
    erased = decoder(session_mark(SessionKey("default", "s")))
    assert erased.score_call(a_request(1, 9)).late == 1
    assert erased.score_call(a_request(1, 9, user_id="other")).late == 1


def test_others_are_as_they_were() -> None:
    """Nothing of them is left out."""
    visit = decoder(visitor_mark("default", "u")).score_call(a_request(1, 9, user_id="v"))
    assert (visit.late, visit.call.event_ids, visit.call.first_sequence) == (0, ("e1", "e9"), 1)


def test_an_earlier_key_s_pseudonym_is_known() -> None:
    """A tombstone under the key before is found by the one that took over."""
    keys = (IdKey("k2", b"secret-of-sixteen-2"), IdKey("k1", b"secret-of-sixteen-1"))
    before = IdEncoder(keys[1:]).encode("u")
    assert (
        decoder(visitor_mark("default", before), keys=keys)
        .score_call(a_request(1, user_id="u"))
        .is_late
    )


def test_events_outside_visits() -> None:
    """Those from before the erasure are left out of what is logged."""
    request = events_pb2.IngestRequest(user_id="u", events=[an_event(1), an_event(9)])
    erased = decoder(visitor_mark("default", "u"))
    assert [one.event_id for one in erased.not_late(request, request.events)] == ["e9"]
    request.user_id = "v"
    assert len(erased.not_late(request, request.events)) == 2

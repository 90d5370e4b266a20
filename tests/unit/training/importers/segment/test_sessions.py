from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError
from tests.support.segment_calls import (
    DAY,
    Call,
    call,
    events_of,
    imported,
    iso,
    track,
    write_lines,
)
from training.importers import import_segment
from training.importers.visits import DayRange, SessionRules


def _sessions(events: list[Call]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in events:
        found.setdefault(event["session_id"], []).append(event["event_id"])
    return found


def test_sessions_are_cut_by_browser_and_silence(tmp_path: Path) -> None:
    """Half an hour of silence ends a session; its places run from one; a stated id is kept."""
    calls = [
        *(call("page", m, messageId=f"a{m}") for m in (0, 29, 59, 90)),
        call("page", 5, messageId="b", anonymousId="other"),
        *(call("page", m, messageId=f"c{m}", context={"sessionId": 7}) for m in (10, 300)),
    ]
    events, report = imported(tmp_path, calls)
    by_session = list(_sessions(events).values())
    assert by_session == [["a0", "a29", "a59"], ["b"], ["c10", "c300"], ["a90"]]
    assert {e["session_id"] for e in events if e["event_id"][0] == "c"} == {"browser.7"}
    assert report.sessions == 4
    assert report.visitors == 2
    places = {e["event_id"]: e["source_seq"] for e in events}
    assert [places[i] for i in ("a0", "a29", "a59", "a90", "c10", "c300")] == [1, 2, 3, 1, 1, 2]


def test_midnight_is_the_shops_and_cuts_only_if_asked(tmp_path: Path) -> None:
    """A session goes on over the shop's midnight into the next day's file, or ends if told to."""
    calls = [call("page", m, messageId=str(m)) for m in (590, 599, 601, 610)]  # 21:50 UTC on
    kept, _ = imported(tmp_path / "a", calls, time_zone="Europe/Paris")
    cut, _ = imported(
        tmp_path / "b", calls, time_zone="Europe/Paris", sessions=SessionRules(at_midnight=True)
    )
    days = sorted(path.name for path in (tmp_path / "a" / "events").glob("*.parquet"))
    assert days == ["2024-05-01.parquet", "2024-05-02.parquet"]
    assert list(_sessions(kept).values()) == [["590", "599", "601", "610"]]
    assert list(_sessions(cut).values()) == [["590", "599"], ["601", "610"]]


def test_the_user_is_known_from_identify_on(tmp_path: Path) -> None:
    """Who somebody is counts from that event on, within the session, and never before."""
    calls = [
        call("page", 0, messageId="a"),
        call("identify", 1, messageId="b", userId="u1"),
        call("page", 2, messageId="c"),
        call("page", 100, messageId="d"),
        call("alias", 101, messageId="e", anonymousId=None, previousId="browser", userId="u2"),
        call("page", 102, messageId="f"),
    ]
    events, _ = imported(tmp_path, calls)
    assert [e["user_id"] for e in events] == [None, "u1", "u1", None, "u2", "u2"]
    assert {e["anonymous_id"] for e in events} == {"browser"}


def test_a_backends_call_joins_the_browsers_session(tmp_path: Path) -> None:
    """A call with the user alone is of the device that this user used last, within a day."""
    order = {"order_id": "o1", "total": 5}
    calls = [
        call("page", 0, messageId="a", userId="u1"),
        call("page", 5, messageId="b", anonymousId="phone", userId="u1"),
        track("Order Completed", 6, messageId="c", anonymousId=None, userId="u1", properties=order),
        track("Order Refunded", 60, messageId="d", anonymousId=None, userId="u2", properties=order),
        call("page", 3_000, messageId="e", anonymousId=None, userId="u1"),
    ]
    events, _ = imported(tmp_path, calls)
    sessions = {e["event_id"]: e["session_id"].rsplit(".", 1)[0] for e in events}
    assert sessions == {"a": "browser", "b": "phone", "c": "phone", "d": "u2", "e": "u1"}
    assert {e["session_id"] for e in events if e["event_id"] in "bc"} == {events[1]["session_id"]}


def test_repeated_messages_are_merged(tmp_path: Path) -> None:
    """Of messages with one id the first to arrive stays, wherever the others stand."""
    calls = [
        call("page", 3, messageId="a", receivedAt=iso(9)),
        call("page", 1, messageId="a", receivedAt=iso(2)),
        call("page", 0, messageId="a", receivedAt=None),
        call("page", 5, messageId=None),
        call("page", 5, messageId=None),
        call("page", 6, messageId="m" * 300),
        call("page", 7, messageId="m" * 300),
    ]
    events, report = imported(tmp_path, calls)
    assert report.merged == {"duplicate_message": 4}
    assert report.rows_read == report.rows_kept + 4
    assert events[0]["received_time"] is not None
    assert [e["source_seq"] for e in events] == [1, 2, 3]
    assert all(len(e["event_id"]) == 32 for e in events[1:])


def test_an_order_reported_twice_is_one(tmp_path: Path) -> None:
    """Browser and backend may both report an order; without a number half an hour tells them."""

    def bought(minutes: float, name: str, **fields: object) -> Call:
        return track("Order Completed", minutes, messageId=name, **fields)

    o1, none = {"properties": {"order_id": "o1"}}, {"properties": {"total": 3}}
    calls = [
        bought(0, "a", **o1),
        bought(1, "b", anonymousId=None, userId="u1", **o1),
        bought(2, "c", anonymousId="x", **none),
        bought(20, "d", anonymousId="x", **none),
        bought(60, "e", anonymousId="x", **none),
        bought(3, "f", anonymousId=None, userId="u2", **none),
        bought(4, "g", anonymousId=None, userId="u3", **none),
    ]
    events, report = imported(tmp_path, calls)
    assert [e["event_id"] for e in events] == ["a", "c", "f", "g", "e"]
    assert report.merged == {"repeated_purchase": 2}
    assert report.purchase_events_read == 7
    assert report.events == {"purchase": 5}


def _history(seed: int) -> list[Call]:
    dice = random.Random(seed)
    names = ["Product Viewed", "Product Added", "Order Completed", "Odd"]
    calls = []
    for number in range(150):
        minutes = dice.randrange(-700, 2_000) + dice.choice([0, 0.5])
        user = dice.choice([None, None, "u1", "u2"])
        browser = dice.choice(["b1", "b2", "b3", None if user else "b1"])
        # Browsers of nobody report some orders again, days later.
        order = f"o{number if user else number % 9}"
        made = track(dice.choice(names), minutes, userId=user, anonymousId=browser)
        calls.append({**made, "messageId": f"m{number}", "properties": {"order_id": order}})
    again = [{**made, "receivedAt": iso(5_000)} for made in dice.sample(calls, 10)]
    return calls + again


def test_the_order_of_lines_and_files_means_nothing(tmp_path: Path) -> None:
    """Shuffled lines over several files, plain or not, give byte-equal days and equal counts."""
    calls = _history(1)
    write_lines(tmp_path / "one" / "all.jsonl", calls)
    random.Random(2).shuffle(calls)
    write_lines(tmp_path / "many" / "b.jsonl", calls[:40])
    write_lines(tmp_path / "many" / "a.jsonl.gz", calls[40:])
    rules = SessionRules(on_campaign=True, max_hours=2)
    reports = [
        import_segment(tmp_path / name, tmp_path / f"out-{name}", sessions=rules)
        for name in ("one", "many")
    ]
    assert reports[0].rows_kept == reports[1].rows_kept > 100
    assert reports[0].merged == reports[1].merged
    for path in sorted((tmp_path / "out-one").glob("*.parquet")):
        assert path.read_bytes() == (tmp_path / "out-many" / path.name).read_bytes()


def test_days_one_by_one_equal_all_at_once(tmp_path: Path) -> None:
    """Later days go on where earlier ones ended: sessions, places, repeated messages and orders."""
    calls = _history(3)
    path = write_lines(tmp_path / "calls.jsonl", calls)
    import_segment(path, tmp_path / "whole")
    days = sorted(day.stem for day in (tmp_path / "whole").glob("*.parquet"))
    assert len(days) >= 2
    for day in days:
        only = DayRange(date.fromisoformat(day), date.fromisoformat(day))
        report = import_segment(path, tmp_path / "steps", days=only)
        assert report.dropped["outside_days"] > 0
    for day in days:
        name = f"{day}.parquet"
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "steps" / name).read_bytes()


def test_days_are_replaced_only_if_asked(tmp_path: Path) -> None:
    """A day that is there already is named and stays as it is, unless it may be replaced."""
    calls = [call("page", 0, messageId="a"), call("page", 1_000, messageId="b")]
    imported(tmp_path, calls)
    before = events_of(tmp_path / "events")
    later = write_lines(tmp_path / "later.jsonl", [call("page", 3, messageId="late")])
    with pytest.raises(InvalidDataError, match=rf"holds {DAY} already.*--replace"):
        import_segment(later, tmp_path / "events")
    assert events_of(tmp_path / "events") == before
    report = import_segment(later, tmp_path / "events", replace=True)
    assert [e["event_id"] for e in events_of(tmp_path / "events")] == ["late", "b"]
    assert any(DAY in note for note in report.notes)

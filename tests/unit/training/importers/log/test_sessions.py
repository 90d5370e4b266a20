"""Which sessions of a log an import keeps, and how it accounts for the others."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError
from micromoment.stores.event_log import LoggedEvent
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.v1 import events_pb2
from tests.support.log_rows import START_S, a_visit
from training.importers.log import LogSource, import_log
from training.importers.report import ImportReport
from training.importers.visits import DayRange

BEGAN, GAP, ERASED = RowKind.BEGAN, RowKind.GAP, RowKind.ERASED
DAY_S = 86_400.0
LOG = Path("log.sqlite")
OUTSIDE = Path("outside.sqlite")


def take(
    out: Path,
    visits: Iterable[LoggedVisit],
    outside: Iterable[LoggedEvent] = (),
    **options: Any,  # noqa: ANN401 - those of the import
) -> tuple[ImportReport, dict[str, list[str]]]:
    """Import rows; give the report and the events' ids by session, in order of arrival."""
    source = LogSource(
        (LOG, OUTSIDE),
        ((0, visit) for visit in visits),
        ((1, number, event) for number, event in enumerate(outside, start=1)),
    )
    report = import_log(source, out, **options)
    found: dict[str, list[str]] = {}
    for path in sorted(out.glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            found.setdefault(row["session_id"], []).append(row["event_id"])
    return report, found


def an_order(order_id: str, kind: int = events_pb2.EVENT_TYPE_PURCHASE) -> events_pb2.Event:
    """Make an order, or what undoes one."""
    event = events_pb2.Event(event_id=f"{kind}-{order_id}", order_id=order_id)
    event.type = kind  # type: ignore[assignment] # a number of the contract
    event.event_time.FromMicroseconds(round(START_S * 1e6))
    return event


def told(event: events_pb2.Event, visitor_id: str = "v") -> LoggedEvent:
    """Let the order service tell of an event an hour after the first visit."""
    received_us = round((START_S + 3_600) * 1e6)
    return LoggedEvent(
        received_us, "default", visitor_id, event.event_id, event.SerializeToString()
    )


def test_a_repeated_event_is_merged(tmp_path: Path) -> None:
    """What a retry sent again counts once, in one call or in two; its place is counted."""
    rows = [a_visit(1, "a", "1", "2", "1", kind=BEGAN), a_visit(2, "a", "2", "3", received_s=1)]
    report, found = take(tmp_path, rows)
    assert found == {"a": ["1", "2", "3"]}
    assert report.merged == {"duplicate_event": 2}
    (path,) = tmp_path.glob("*.parquet")
    assert pq.read_table(path)["source_seq"].to_pylist() == [1, 2, 5]


def test_a_repeat_beyond_what_a_server_remembers_is_kept(tmp_path: Path) -> None:
    """As the server did: it knows the last 256 events of a session."""
    rows = [a_visit(1, "a", "first", kind=BEGAN)]
    rows += [a_visit(2 + n, "a", f"{n}", received_s=n) for n in range(256)]
    report, found = take(tmp_path, [*rows, a_visit(900, "a", "first", received_s=300)])
    assert report.merged == {}
    assert len(found["a"]) == 258


def test_a_session_with_a_gap_is_left_out(tmp_path: Path) -> None:
    """All of its events are, before and after; another session is not touched."""
    rows = [
        a_visit(1, "a", "1", "2", kind=BEGAN),
        a_visit(2, "b", "1", kind=BEGAN),
        a_visit(3, "a", kind=GAP),
        a_visit(4, "a", "3", received_s=60),
    ]
    report, found = take(tmp_path, rows)
    assert found == {"b": ["1"]}
    assert report.dropped == {"gap": 3}
    assert report.sessions == 1
    assert "1 sessions are left out (gap)" in report.notes[1]


def test_an_erased_session_is_left_out(tmp_path: Path) -> None:
    """All before the row that says so is, under the same id, too; what begins after is kept."""
    rows = [
        a_visit(1, "a", "1", kind=BEGAN),
        a_visit(2, "a", "2", kind=BEGAN, received_s=10),
        a_visit(3, "b", "1", kind=BEGAN, received_s=11),
        a_visit(4, "a", kind=ERASED, received_s=12),
        a_visit(5, "", kind=ERASED, received_s=13),
        a_visit(6, "a", "3", kind=BEGAN, received_s=20),
        a_visit(7, "a", "4", received_s=30),
    ]
    report, found = take(tmp_path, rows)
    assert found == {"a": ["3", "4"], "b": ["1"]}
    assert report.dropped == {"erased": 2}
    assert "2 sessions are left out (erased)" in report.notes[0]


def test_a_gap_of_everybody_takes_those_under_way(tmp_path: Path) -> None:
    """Under way is whose last call came within the expiry of the last row before it.

    Who was silent for longer is kept, unless his session goes on as if it had been there.
    """
    hour = 3_600.0
    rows = [
        a_visit(1, "over", "1", kind=BEGAN),
        a_visit(2, "goes on", "1", kind=BEGAN),
        a_visit(3, "under way", "1", kind=BEGAN, received_s=hour),
        a_visit(4, "last", "1", kind=BEGAN, received_s=hour + 60),
        # Written when the disk had room again, long after.
        a_visit(5, "", kind=GAP, received_s=5 * hour),
        a_visit(6, "goes on", "2", received_s=5 * hour + 1),
        a_visit(7, "new", "1", kind=BEGAN, received_s=5 * hour + 2),
        a_visit(8, "unknown", "1", received_s=5 * hour + 3),
    ]
    report, found = take(tmp_path, rows)
    assert found == {"over": ["1"], "new": ["1"]}
    assert report.dropped == {"beginning_missing": 1, "gap": 4}


def test_a_session_that_began_again_is_another_one(tmp_path: Path) -> None:
    """The server forgot it, so its later events were folded into a state of their own."""
    rows = [
        a_visit(1, "a", "1", kind=BEGAN),
        a_visit(2, "a", "1", "2", kind=BEGAN, received_s=90_000),
        a_visit(3, "a", "3", received_s=90_001),
    ]
    report, found = take(tmp_path, rows)
    assert found == {"a": ["1"], "a~2": ["1", "2", "3"]}
    assert report.sessions == 2


def test_a_session_that_the_server_lost_is_left_out(tmp_path: Path) -> None:
    """Neither part is a visit as it was: an order in the second is one of the first, too."""
    rows = [
        a_visit(1, "a", "1", kind=BEGAN),
        a_visit(2, "a", "2", kind=BEGAN, received_s=60, lost=True),
    ]
    report, found = take(tmp_path, rows)
    assert found == {}
    assert report.dropped == {"state_lost": 2}
    assert report.days == {}


def test_a_session_whose_beginning_is_not_there_is_left_out(tmp_path: Path) -> None:
    """The log no longer has it, or the caller's numbers say that it never came."""
    late = events_pb2.Event(event_id="4", type=events_pb2.EVENT_TYPE_PAGE_VIEW, sequence=4)
    late.event_time.FromMicroseconds(round(START_S * 1e6))
    rows = [a_visit(1, "a", "1"), a_visit(2, "b", kind=BEGAN, events=[late])]
    report, found = take(tmp_path, rows)
    assert found == {}
    assert report.dropped == {"beginning_missing": 2}


def test_days_are_the_shops_and_keep_the_order_of_arrival(tmp_path: Path) -> None:
    """An event whose clock is behind stays on the day that its session has reached."""
    midnight_s = 1_700_002_800.0 - START_S  # in Berlin
    early = a_visit(3, "a", "3").call().events[0]
    rows = [
        a_visit(1, "a", "1", kind=BEGAN, received_s=midnight_s - 1),
        a_visit(2, "a", "2", received_s=midnight_s),
        a_visit(3, "a", received_s=midnight_s + 1, events=[early]),
    ]
    report, found = take(tmp_path, rows)
    assert found == {"a": ["1", "2", "3"]}
    assert report.days == {"2023-11-14": 1, "2023-11-15": 2}


def test_days_that_are_not_wanted_are_dropped(tmp_path: Path) -> None:
    """`days` limits the import; what it leaves out is counted."""
    rows = [
        a_visit(1 + day, f"s{day}", "1", kind=BEGAN, received_s=day * DAY_S) for day in range(4)
    ]
    first = date(2023, 11, 15)
    report, found = take(tmp_path, rows, days=DayRange(first, first + timedelta(days=1)))
    assert set(found) == {"s1", "s2"}
    assert report.dropped == {"outside_days": 2}


def test_an_order_told_twice_is_one(tmp_path: Path) -> None:
    """A visit's own purchase counts; the order service's counts where no usable visit has it."""
    rows = [
        a_visit(1, "a", kind=BEGAN, events=[an_order("o1")]),
        a_visit(2, "b", kind=BEGAN, events=[an_order("o2")]),
        a_visit(3, "b", kind=GAP),
    ]
    refund = an_order("o1", events_pb2.EVENT_TYPE_REFUND)
    again = an_order("o2")
    again.event_id = "again"
    outside = [told(one) for one in (an_order("o1"), an_order("o2"), refund, again)]
    report, found = take(tmp_path, rows, outside)
    assert sorted(found) == ["a", "v.20-o2", "v.21-o1"]
    assert report.merged == {"repeated_purchase": 2}
    assert report.dropped == {"gap": 1}
    assert [file.rows_read for file in report.files] == [2, 4]
    assert report.purchase_events_read == 5


def test_who_is_known_is_known_to_the_order_service(tmp_path: Path) -> None:
    """A visitor whom a visit identified is a user there, too; any other is anonymous."""
    rows = [a_visit(1, "a", "1", kind=BEGAN, visitor_id="u", identified=True)]
    take(tmp_path, rows, [told(an_order("o1"), "u"), told(an_order("o2"), "w")])
    rows_of = {
        row["session_id"]: (row["user_id"], row["anonymous_id"])
        for path in tmp_path.glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    assert rows_of == {"a": ("u", None), "u.20-o1": ("u", None), "w.20-o2": (None, "w")}


def test_a_log_of_two_time_zones_needs_to_be_told_one(tmp_path: Path) -> None:
    """Without one, nothing is written; with one it is that."""
    rows = [
        a_visit(1, "a", "1", kind=BEGAN),
        a_visit(2, "b", "1", kind=BEGAN, received_s=1, time_zone="Asia/Tokyo"),
    ]
    with pytest.raises(InvalidDataError, match="--time-zone"):
        take(tmp_path / "out", rows)
    assert not list((tmp_path / "out").glob("*.parquet"))
    report, _ = take(tmp_path / "out", rows, time_zone="Asia/Tokyo")
    assert report.days == {"2023-11-15": 2}


def test_a_damaged_call_is_named(tmp_path: Path) -> None:
    """By its place in the log."""
    whole = a_visit(7, "a", "1", kind=BEGAN)
    broken = LoggedVisit(7, whole.received_time_us, BEGAN, "default", "a", "v", b"\xff\xff")
    with pytest.raises(InvalidDataError, match="row 7"):
        take(tmp_path, [broken])


def test_a_log_without_calls_says_so(tmp_path: Path) -> None:
    """A fresh server's, or another prefix's: it is not the time zone that is wrong.

    Events from outside visits are imported all the same where a time zone is given.
    """
    for outside in ([], [told(an_order("o1"))]):
        with pytest.raises(InvalidDataError, match=r"log\.sqlite.*holds no call"):
            take(tmp_path, [], outside)
    report, _ = take(tmp_path, [], [told(an_order("o1"))], time_zone="Europe/Berlin")
    assert report.rows_kept == 1

"""Whom a folder's list of erasures names stays out of what is imported into it, and is counted."""

from __future__ import annotations

import time
from pathlib import Path

from micromoment.stores.erasure_list import ErasureList
from micromoment.stores.log_rows import RowKind
from tests.support.ga4_export import imported as imported_ga4
from tests.support.ga4_export import raw
from tests.support.log_rows import START_S, a_visit
from tests.support.segment_calls import call
from tests.support.segment_calls import imported as imported_calls
from tests.support.tables import ORDERS, line
from tests.support.tables import imported as imported_orders
from training.importers.log import LogSource, import_log
from training.importers.report import ImportReport

NOW_US = time.time_ns() // 1_000


def erased(folder: Path, *ids: str, until_us: int = NOW_US) -> None:
    """Write the list of a folder."""
    erasures = ErasureList()
    erasures.add(ids, until_us)
    erasures.save(folder)


def is_accounted_for(report: ImportReport) -> bool:
    """Tell whether each row that was read was kept, merged or dropped."""
    gone = sum(report.merged.values()) + sum(report.dropped.values())
    return report.rows_read == report.rows_kept + gone


def test_calls_of_segment(tmp_path: Path) -> None:
    """The visit goes whole: also what came before the user was known."""
    calls = [
        call("page", 0, messageId="a"),
        call("identify", 1, messageId="b", userId="canary"),
        call("page", 2, messageId="c", userId="canary"),
        call("page", 3, messageId="d", anonymousId="other"),
    ]
    before, _ = imported_calls(tmp_path / "before", calls)
    assert [event["event_id"] for event in before] == ["a", "b", "c", "d"]
    erased(tmp_path / "after" / "events", "canary")
    events, report = imported_calls(tmp_path / "after", calls)
    assert [event["event_id"] for event in events] == ["d"]
    assert report.dropped["erased"] >= 2
    assert is_accounted_for(report)


def test_a_day_of_theirs_alone_is_not_written(tmp_path: Path) -> None:
    """Nobody is left, so no file is."""
    erased(tmp_path / "events", "canary")
    events, report = imported_calls(tmp_path, [call("page", 0, anonymousId="canary")])
    assert (events, report.dropped) == ([], {"erased": 1})


def test_rows_of_ga4(tmp_path: Path) -> None:
    """By the pseudonym that GA4 gives."""
    rows = [raw("page_view", n, user=f"100.{n % 2}", session=n % 2) for n in range(6)]
    everybody, _ = imported_ga4(tmp_path / "before", rows)
    gone = {event["anonymous_id"] for event in everybody if event["anonymous_id"].endswith(".1")}
    erased(tmp_path / "after" / "events", *gone)
    events, report = imported_ga4(tmp_path / "after", rows)
    assert (len(everybody), len(events), report.dropped) == (6, 3, {"erased": 3})
    assert is_accounted_for(report)


def test_lines_of_orders(tmp_path: Path) -> None:
    """The order goes with all its lines."""
    rows = [line("1", "a"), line("1", "b"), line("2", "a", customer="u2")]
    erased(tmp_path / "events", "u1")
    events, report = imported_orders(tmp_path, rows, {**ORDERS})
    assert [event["user_id"] for event in events] == ["u2"]
    assert report.dropped == {"erased": 2}
    assert is_accounted_for(report)


def test_calls_of_a_log(tmp_path: Path) -> None:
    """A visit from before the erasure goes whole; one that began after it is kept."""
    until_us = round((START_S + 100) * 1e6)
    erased(tmp_path, "canary", until_us=until_us)
    visits = [
        a_visit(1, "a", "1", kind=RowKind.BEGAN, visitor_id="browser"),
        a_visit(2, "a", "2", received_s=10, visitor_id="canary"),
        a_visit(3, "b", "1", kind=RowKind.BEGAN, received_s=20, visitor_id="other"),
        a_visit(4, "c", "1", kind=RowKind.BEGAN, received_s=200, visitor_id="canary"),
    ]
    report = import_log(LogSource((Path("log"),), ((0, one) for one in visits), iter(())), tmp_path)
    assert (report.rows_kept, report.dropped) == (2, {"erased": 2})

"""The requests that serving is measured with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.serving import score_calls
from benchmarks.serving.errors import BenchmarkError
from benchmarks.serving.score_calls import FIRST_EVENTS, LATER_EVENTS
from micromoment.events.validation import check_batch_score_request, check_score_request

CUT = datetime(2026, 3, 1, tzinfo=UTC)


def test_new_events_are_all_different() -> None:
    """No event repeats another one, nor one of the visit's first; each visit's are in order."""
    visits = score_calls.visits(score_calls.shoppers_of(None), "a", 5)
    first = [event for visit in visits for event in visit.first().events]
    later = [request.events[0] for request in score_calls.new_events(visits)]
    assert len(first) == 5 * FIRST_EVENTS
    assert len(later) == 5 * LATER_EVENTS
    assert len({event.event_id for event in [*first, *later]}) == len(first) + len(later)
    times = [event.event_time.seconds for event in [*visits[0].first().events, *later[::5]]]
    assert times == sorted(times)


def test_requests_are_valid() -> None:
    """The server takes each of them, and nothing of a batch is kept."""
    visits = score_calls.visits(score_calls.shoppers_of(None), "a", 64)
    for request in (visits[0].first(), visits[1].later(0), visits[1].later(0, dry_run=True)):
        check_score_request(request)
    batch = score_calls.batch_request(visits)
    check_batch_score_request(batch)
    assert len({request.session_id for request in batch.requests}) == 64
    assert all(request.dry_run for request in batch.requests)


def write_snapshot(workspace: Path, orders: list[int]) -> None:
    """Write a snapshot of visitors v0, v1 and so on with so many orders."""
    folder = workspace / "user_snapshots"
    folder.mkdir(parents=True)
    moment = int(CUT.timestamp() * 1e6)
    table = pa.table(
        {
            "visitor_id": [f"v{n}" for n in range(len(orders))],
            "orders": orders,
            "last_order": [n * 10 for n in range(len(orders))],
            "snapshot_time": [moment] * len(orders),
        }
    )
    pq.write_table(table, folder / "2026-03-01.parquet")


def test_customers_come_first(tmp_path: Path) -> None:
    """Visitors with orders are taken, the latest customers first, after the snapshot was cut."""
    write_snapshot(tmp_path, [0, 2, 0, 1])
    shoppers = score_calls.shoppers_of(tmp_path)
    assert shoppers.visitor_ids == ("v3", "v1")
    assert shoppers.begin > CUT


def test_a_shop_without_orders_has_visitors(tmp_path: Path) -> None:
    """Where nobody has ordered all visitors are taken."""
    write_snapshot(tmp_path, [0, 0])
    assert set(score_calls.shoppers_of(tmp_path).visitor_ids) == {"v0", "v1"}


def test_a_workspace_without_snapshots_is_told(tmp_path: Path) -> None:
    """The message names the folder."""
    with pytest.raises(BenchmarkError, match="user_snapshots"):
        score_calls.shoppers_of(tmp_path)

"""Whose calls a log gives."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from micromoment.stores.event_log import OUTSIDE_FILE, LoggedEvent, OutsideVisitLog
from micromoment.stores.log_rows import LogRow, RowKind
from micromoment.stores.log_segments import LogLimits, SegmentWriter
from micromoment.v1 import events_pb2
from tests.support.log_rows import START_S, a_visit, as_rows
from training.importers.log import import_log, log_source, visits_of

LIMITS = LogLimits(segment_bytes=1 << 20, retention_s=1e9, max_bytes=1 << 30)
BEGAN = RowKind.BEGAN


def of_tenant(tenant: str, rows: Iterable[LogRow]) -> list[LogRow]:
    """Give rows to a tenant."""
    return [row._replace(tenant=tenant) for row in rows]


def an_order(tenant: str) -> LoggedEvent:
    """Make an order that a tenant's order service tells of."""
    event = events_pb2.Event(
        event_id="o", order_id=f"o-{tenant}", type=events_pb2.EVENT_TYPE_PURCHASE
    )
    event.event_time.FromMicroseconds(round(START_S * 1e6))
    body = event.SerializeToString()
    return LoggedEvent(round((START_S + 60) * 1e6), tenant, f"v-{tenant}", "o", body)


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    """A log of two tenants with one session id, two calls of the first and one of the second."""
    folder = tmp_path / "log"
    first = [a_visit(1, "s1", "a1", kind=BEGAN), a_visit(2, "s1", "a2", received_s=10.0)]
    second = [a_visit(3, "s1", "b1", kind=BEGAN, received_s=5.0)]
    writer = SegmentWriter(folder, "commit", LIMITS)
    one, two = of_tenant("shop-a", as_rows(first)), of_tenant("shop-b", as_rows(second))
    writer.write([one[0], *two, one[1]])
    writer.close()
    outside = OutsideVisitLog(folder / OUTSIDE_FILE)
    await outside.append([an_order("shop-a"), an_order("shop-b")])
    await outside.close()
    return folder


@pytest.mark.parametrize(
    ("tenant", "expected", "left_out"),
    [("shop-a", {"a1", "a2", "o"}, "1 calls"), ("shop-b", {"b1", "o"}, "2 calls")],
)
def test_an_import_takes_one_tenants_events(
    log: Path, tmp_path: Path, tenant: str, expected: set[str], left_out: str
) -> None:
    """The others' are counted, and sessions of the same id are not mixed."""
    out = tmp_path / "events"
    report = import_log(log_source(str(log), tenant=tenant), out)
    rows = [row for path in out.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert {row["event_id"] for row in rows} == expected
    assert f"{left_out} of other tenants are left out (--tenant)" in report.notes
    assert "1 events outside visits of other tenants are left out (--tenant)" in report.notes


def test_a_log_gives_all_or_one_tenants_calls(log: Path) -> None:
    """Parity looks at all; a gap of everybody is in every tenant's calls."""
    assert [visit.tenant for visit in visits_of(str(log))] == ["shop-a", "shop-b", "shop-a"]
    assert [visit.tenant for visit in visits_of(str(log), tenant="shop-b")] == ["shop-b"]
    outside = log_source(str(log), tenant="shop-a").outside
    assert [event.tenant for _, _, event in outside] == ["shop-a"]
    writer = SegmentWriter(log, "commit", LIMITS)
    writer.write([LogRow(round(START_S * 1e6), RowKind.GAP, "", "", "", b"")])
    writer.close()
    kinds = [visit.kind for visit in visits_of(str(log), tenant="shop-b")]
    assert kinds == [BEGAN, RowKind.GAP]

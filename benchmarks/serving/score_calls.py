"""Score requests to measure with: the first events of visits, then one event at a time.

All visitors are known customers where the feature workspace has any, so that both models speak.
Event times are fixed, days before now, so that what a request is answered depends on it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.serving.errors import BenchmarkError
from micromoment.client import event, item, score_request
from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb

FIRST_EVENTS: Final = 20
LATER_EVENTS: Final = 10
_KINDS: Final = ("page_view", "list_view", "item_view", "item_view", "cart_add")
_PRODUCTS: Final = 500
_VISITORS: Final = 256
_STEP: Final = timedelta(seconds=7)
_WITHOUT_USERS: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)
_AFTER_SNAPSHOT: Final = timedelta(hours=10)


@dataclass(frozen=True, slots=True)
class Shoppers:
    """Visitors to send events of, and when their visits begin."""

    visitor_ids: tuple[str, ...]
    begin: datetime


def shoppers_of(workspace: Path | None) -> Shoppers:
    """Pick visitors out of the newest snapshot of a feature workspace, customers first.

    Without a workspace they are made up. Raises `BenchmarkError` for one without snapshots.
    """
    if workspace is None:
        return Shoppers(tuple(f"browser-{n}" for n in range(_VISITORS)), _WITHOUT_USERS)
    files = sorted((workspace / "user_snapshots").glob("*.parquet"))
    if not files:
        raise BenchmarkError(f"{workspace}: the feature workspace has no user_snapshots")
    columns = ["visitor_id", "orders", "last_order", "snapshot_time"]
    rows = pq.read_table(files[-1], columns=columns)
    if "orders" in rows.column_names and pc.any(pc.greater(rows["orders"], 0)).as_py():
        rows = rows.filter(pc.greater(rows["orders"], 0))
    rows = rows.sort_by([("last_order", "descending"), ("visitor_id", "ascending")])
    cut = datetime.fromtimestamp(_newest(rows) / 1e6, UTC)
    return Shoppers(tuple(rows["visitor_id"].to_pylist()[:_VISITORS]), cut + _AFTER_SNAPSHOT)


def _newest(rows: pa.Table) -> int:
    times = rows["snapshot_time"]
    moments = pc.cast(times, pa.int64()) if not pa.types.is_integer(times.type) else times
    return int(pc.max(moments).as_py())


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit: its first events in one request, and single events that follow."""

    name: str
    visitor_id: str
    begin: datetime

    def first(self) -> pb.ScoreRequest:
        """Make the request that begins the visit, with `FIRST_EVENTS` events."""
        return self._request([self._event(place) for place in range(FIRST_EVENTS)])

    def later(self, number: int, *, dry_run: bool = False) -> pb.ScoreRequest:
        """Make the request with the single event that is so many after the first ones."""
        return self._request([self._event(FIRST_EVENTS + number)], dry_run=dry_run)

    def _request(self, events: list[events_pb2.Event], *, dry_run: bool = False) -> pb.ScoreRequest:
        return score_request(self.name, events, anonymous_id=self.visitor_id, dry_run=dry_run)

    def _event(self, place: int) -> events_pb2.Event:
        product = (place * 37 + len(self.name) + 7 * int(self.name.rpartition("-")[2])) % _PRODUCTS
        return event(
            _KINDS[place % len(_KINDS)],
            event_id=f"{self.name}-event-{place}",
            event_time=self.begin + place * _STEP,
            items=[item(f"sku-{product}", category=("a", "b"), price="19.99", quantity=1)],
            page=f"/products/{product}",
            page_type="item",
            device="mobile",
        )


def visits(shoppers: Shoppers, name: str, count: int) -> list[Visit]:
    """Make so many visits, named `name-0` and so on, of visitors in turn."""
    ids = shoppers.visitor_ids
    return [Visit(f"{name}-{n}", ids[n % len(ids)], shoppers.begin) for n in range(count)]


def new_events(visited: list[Visit]) -> list[pb.ScoreRequest]:
    """Make `LATER_EVENTS` requests of each visit, one event each; all visits move on together."""
    return [visit.later(number) for number in range(LATER_EVENTS) for visit in visited]


def batch_request(visited: list[Visit]) -> pb.BatchScoreRequest:
    """Make one batch: a dry run of each visit's next event."""
    return pb.BatchScoreRequest(requests=[visit.later(0, dry_run=True) for visit in visited])

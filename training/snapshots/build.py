"""Build daily user snapshots from canonical events.

What the columns mean, in more words than `SNAPSHOT_COLUMNS` has:

- A cut at the start of shop-day D holds the events with `event_time` before it, and no other.
- A visitor is the `user_id`, else the `anonymous_id`. Bots and events whose analytics consent is
  denied are left out. Refunds and cancellations say something of an order, not of a visit.
- A session counts on the shop-day of its first event by the visitor.
- An order is a distinct `order_id` of the visitor's purchases; purchases without one are one order
  while each follows the one before within 30 minutes. Time and value are those of its first event;
  a value in another currency than the shop's is missing.
- An order that was cancelled or refunded as a whole before the cut does not count; one refunded in
  part counts with what is left. Both are found by `order_id`, whoever reported them. Both are
  `orders_undone`, the former alone `orders_undone_whole`, so that `orders + orders_undone_whole` is
  the number of orders ever placed.
- An order was at a discount if a product of its first event was on sale, or if a coupon was applied
  in its session before it or at the same time.
- Gaps run from the first order of one shop-day to the first of the next shop-day with an order.
  Their median needs two of them; the mean of the two in the middle is rounded down.
- Checkout events are `checkout_start`, `checkout_step` and `payment_info`. Order confirmation pages
  and everything else that is kept count as events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from micromoment.errors import InvalidDataError
from micromoment.events.identity import IdEncoder
from micromoment.events.shop import Shop
from training.event_files import event_days
from training.snapshots.cuts import Cut, cuts_between
from training.snapshots.loading import load_events
from training.snapshots.rows import SNAPSHOT_SCHEMA, cut_rows

if TYPE_CHECKING:
    import duckdb

_LIMITS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "memory_limit": "1GB",
    "threads": 2,
}
_NAMES_AT_ONCE: Final = 50_000


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """What was read and written: events read = kept + dropped by reason; rows by day of the cut."""

    events_read: int
    events_kept: int
    events_dropped: dict[str, int]
    rows: dict[date, int]


def build_user_snapshots(
    events: Path | Sequence[Path],
    out: Path,
    *,
    shop: Shop,
    first_day: date,
    last_day: date,
    publish_lag: timedelta,
    ids: IdEncoder | None = None,
    keep_others: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> SnapshotReport:
    """Write `out/YYYY-MM-DD.parquet` for each cut from `first_day` to `last_day`, both included.

    `events` is a folder of day files or a list of files. Each file has `SNAPSHOT_SCHEMA`, one row
    per visitor, in order of visitor ids; `available_at` is the cut plus `publish_lag`. Which
    visitors get a row is said in `rows`; the first cut holds everybody. Cut files of other days are
    removed, unless `keep_others` appends to them. The same events give the same bytes.
    `progress` gets 1 for each cut. Memory stays below about 1.5 GB.

    Raises `InvalidDataError` naming the file that can't be read, the cut of an older version that
    can't be continued, or the days that can't be cut.
    """
    import duckdb  # noqa: PLC0415 - part of the training extra

    if last_day < first_day:
        raise InvalidDataError(str(out), f"no day from {first_day} to {last_day}")
    files = list(event_days(events).files.values()) if isinstance(events, Path) else list(events)
    if any(file.parent.resolve() == out.resolve() for file in files):
        raise InvalidDataError(str(out), "holds the events: snapshots need a folder of their own")
    cuts = cuts_between(first_day, last_day, shop)
    out.mkdir(parents=True, exist_ok=True)
    if keep_others:
        _check_others(out, cuts)
    else:
        _remove_others(out, cuts)
    rows = {}
    with (
        TemporaryDirectory() as scratch,
        duckdb.connect(Path(scratch) / "snapshots.duckdb", config=_LIMITS) as database,
    ):
        database.execute("SET TimeZone = 'UTC'")
        counts = load_events(database, files, cuts, shop)
        _name_visitors(database, ids or IdEncoder())
        for cut in cuts:
            rows[cut.day] = _write(database, cut, out, publish_lag, first=cut is cuts[0])
            progress(1)
    kept = counts.pop("", 0)
    return SnapshotReport(kept + sum(counts.values()), kept, dict(sorted(counts.items())), rows)


def _write(
    database: duckdb.DuckDBPyConnection,
    cut: Cut,
    out: Path,
    publish_lag: timedelta,
    *,
    first: bool,
) -> int:
    # With the cut before in place, what is written now continues it.
    everybody = first and not _file(out, cut.day - timedelta(days=1)).exists()
    path = _file(out, cut.day)
    unfinished = path.with_suffix(".unfinished")
    count = 0
    with pq.ParquetWriter(unfinished, SNAPSHOT_SCHEMA, compression="zstd") as writer:
        for table in cut_rows(database, cut, publish_lag, everybody=everybody):
            writer.write_table(table)
            count += len(table)
    unfinished.replace(path)
    return count


def _file(out: Path, day: date) -> Path:
    return out / f"{day.isoformat()}.parquet"


def _check_others(out: Path, cuts: list[Cut]) -> None:
    written = {_file(out, cut.day) for cut in cuts}
    for path in sorted(out.glob("*.parquet")):
        if path not in written and not pq.read_schema(path).equals(SNAPSHOT_SCHEMA):
            raise InvalidDataError(
                str(path), "has other columns than cuts have now: cut all days again"
            )


def _remove_others(out: Path, cuts: list[Cut]) -> None:
    wanted = {_file(out, cut.day) for cut in cuts}
    for path in [*out.glob("*.parquet"), *out.glob("*.unfinished")]:
        if path not in wanted:
            path.unlink()


def _name_visitors(database: duckdb.DuckDBPyConnection, ids: IdEncoder) -> None:
    database.execute("CREATE TABLE names (visitor VARCHAR, visitor_id VARCHAR)")
    visitors = database.cursor().execute("SELECT DISTINCT visitor FROM visitor_days")
    while plain := [row[0] for row in visitors.fetchmany(_NAMES_AT_ONCE)]:
        table = pa.table({"visitor": plain, "visitor_id": [ids.encode(one) for one in plain]})
        database.register("named", table)
        database.execute("INSERT INTO names SELECT * FROM named")
        database.unregister("named")

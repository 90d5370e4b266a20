from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from micromoment.events.schema import EVENT_SCHEMA
from training.importers import import_ga4

DAYS = 23
ROWS = 753_325

# Prints the process's own peak, in KiB, after the import.
_IMPORT = """
import resource, sys
from pathlib import Path
from training.importers import import_ga4
import_ga4(sys.argv[1], Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True)
class Imported:
    """The real export, imported by a process of its own."""

    folder: Path
    report: dict[str, Any]
    peak_kib: int

    def column(self, *names: str) -> pa.Table:
        """Read columns of all days, in order."""
        files = sorted(self.folder.glob("*.parquet"))
        return pa.concat_tables([pq.read_table(path, columns=list(names)) for path in files])


@pytest.fixture(scope="module")
def imported(ga4_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """Import the 23 days of the real export once."""
    out = tmp_path_factory.mktemp("ga4") / "events"
    pattern = str(ga4_dir / "events_*.parquet")
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, pattern, str(out)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    return Imported(out, json.loads((out / "report.json").read_text()), int(done.stdout))


@pytest.mark.slow
def test_every_row_of_the_real_export_is_accounted_for(imported: Imported) -> None:
    """The counts are those known of the export; 23 purchases repeat others, nothing is dropped."""
    report = imported.report
    assert (report["rows_read"], report["rows_kept"]) == (ROWS, ROWS - 23)
    assert (report["merged"], report["dropped"]) == ({"repeated_purchase": 23}, {})
    assert (report["visitors"], report["sessions"]) == (65_784, 78_439)
    assert (report["purchase_events_read"], report["purchase_sessions"]) == (663, 591)
    assert (len(report["days"]), sum(report["days"].values())) == (DAYS, ROWS - 23)
    for file in report["files"]:
        gone = sum(file["merged"].values()) + sum(file["dropped"].values())
        assert file["rows_read"] == file["rows_kept"] + gone
    assert sum(file["rows_read"] for file in report["files"]) == ROWS


@pytest.mark.slow
def test_the_real_export_needs_little_memory(imported: Imported) -> None:
    """The whole import stays below 2 GB."""
    assert imported.peak_kib < 2_000_000


@pytest.mark.slow
def test_days_are_canonical_and_in_arrival_order(imported: Imported) -> None:
    """Each day's file has the canonical schema and is sorted by time, session and place."""
    files = sorted(imported.folder.glob("*.parquet"))
    assert len(files) == DAYS
    for path in files:
        table = pq.read_table(path)
        assert table.schema.remove_metadata().equals(EVENT_SCHEMA)
        keys = [(name, "ascending") for name in ("event_time", "session_id", "source_seq")]
        order = pc.sort_indices(table, sort_keys=keys).to_numpy()
        assert np.array_equal(order, np.arange(len(table)))


@pytest.mark.slow
def test_places_and_ids_are_unique(imported: Imported) -> None:
    """Event ids are unique; places in a session run from 1, with gaps at merged rows."""
    table = imported.column("event_id", "session_id", "source_seq")
    assert pc.count_distinct(table["event_id"]).as_py() == len(table)
    sessions = table.group_by("session_id").aggregate(
        [("source_seq", "max"), ("source_seq", "min"), ("source_seq", "count_distinct")]
    )
    rows = pc.sum(sessions["source_seq_max"]).as_py()
    assert ROWS - 23 <= rows <= ROWS
    assert pc.sum(sessions["source_seq_count_distinct"]).as_py() == len(table)
    assert pc.max(sessions["source_seq_min"]).as_py() == 1


@pytest.mark.slow
def test_orders_alone_carry_order_facts(imported: Imported) -> None:
    """No value and no order id stands on anything but a purchase, where the value always does."""
    table = imported.column("type", "value_micros", "order_id")
    orders = table.filter(pc.equal(table["type"], "purchase"))
    rest = table.filter(pc.not_equal(table["type"], "purchase"))
    assert len(orders) == 640
    assert orders["value_micros"].null_count == 0
    assert rest["value_micros"].null_count == rest["order_id"].null_count == len(rest)


@pytest.mark.slow
def test_purchases_happen_on_confirmation_pages(imported: Imported) -> None:
    """Every purchase, and each page view just before one, is on a page known as confirmation."""
    table = imported.column("type", "page_type", "page_id").to_pydict()
    kinds = Counter(zip(table["type"], table["page_type"], strict=True))
    assert kinds["purchase", "confirmation"] == 640
    confirmed = {
        page
        for page, kind in zip(table["page_id"], table["page_type"], strict=True)
        if kind == "confirmation"
    }
    assert "/ordercompleted.html" in confirmed
    assert kinds["page_view", "confirmation"] >= 663


@pytest.mark.slow
def test_measures_are_missing_where_they_were_not_taken(imported: Imported) -> None:
    """Scroll depth stands on scrolls alone; engagement on as many rows as the export has it."""
    table = imported.column("type", "scroll_percent", "engagement_ms")
    assert len(table) - table["scroll_percent"].null_count == 80_940
    assert set(pc.unique(table.filter(table["scroll_percent"].is_valid())["type"]).to_pylist()) == {
        "scroll"
    }
    assert 422_100 < len(table) - table["engagement_ms"].null_count <= 422_153


def test_a_real_day_shuffled_gives_the_same_bytes(ga4_dir: Path, tmp_path: Path) -> None:
    """Rows of a real day in another order, and split over files, give a byte-equal day."""
    source = ga4_dir / "events_20210101.parquet"
    table = pq.read_table(source)
    order = np.random.default_rng(7).permutation(len(table))
    shuffled = table.take(pa.array(order))
    pq.write_table(shuffled.slice(0, 5_000), tmp_path / "b.parquet")
    pq.write_table(shuffled.slice(5_000), tmp_path / "a.parquet")
    whole = import_ga4([source], tmp_path / "whole")
    split = import_ga4(tmp_path, tmp_path / "split")
    name = "2021-01-01.parquet"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "split" / name).read_bytes()
    assert (whole.rows_kept, whole.cleaned) == (split.rows_kept, split.cleaned)


def test_real_days_one_by_one_equal_all_at_once(
    imported: Imported, ga4_dir: Path, tmp_path: Path
) -> None:
    """Importing the first days one after another gives the files of the whole import."""
    for path in sorted(ga4_dir.glob("events_*.parquet"))[:2]:
        import_ga4([path], tmp_path)
    for path in sorted(tmp_path.glob("*.parquet")):
        assert path.read_bytes() == (imported.folder / path.name).read_bytes()

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from micromoment.events.schema import EVENT_SCHEMA
from micromoment.events.shop import Shop
from training.importers import import_table
from training.replay.sessions import group_by_session

ROOT = Path(__file__).parents[2]
MAPPING = ROOT / "examples" / "mappings" / "online_retail_II.yaml"

ROWS = 1_044_847
CUSTOMERS = 5_878
ORDERS = 36_969

# Prints the process's own peak, in KiB, after the import.
_IMPORT = """
import resource, sys
from pathlib import Path
from training.importers import import_table
import_table(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


# In millionths of a pound, of what the table itself has as valid.
_TURNOVER = """
SELECT sum(round(abs("Quantity") * round("Price" * 1e6)))
FROM (
    SELECT DISTINCT "Invoice", "StockCode", "Quantity", "Price", "InvoiceDate", "Customer ID"
    FROM read_parquet(?)
    WHERE "Customer ID" IS NOT NULL AND "Price" > 0 AND starts_with("Invoice", 'C') = ?
)
"""


@dataclass(frozen=True)
class Imported:
    """The real table, imported by a process of its own."""

    source: Path
    folder: Path
    report: dict[str, Any]
    peak_kib: int

    @property
    def events(self) -> pa.Table:
        """All events, in order."""
        return pa.concat_tables(
            [pq.read_table(path) for path in sorted(self.folder.glob("*.parquet"))]
        )


@pytest.fixture(scope="module")
def imported(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """Import the two years of Online Retail II once, by the mapping in examples/."""
    source = data_dir / "online_retail_II" / "online_retail_II.parquet"
    if not source.is_file():
        pytest.skip("MICROMOMENT_DATA_DIR has no online_retail_II/online_retail_II.parquet")
    out = tmp_path_factory.mktemp("retail") / "events"
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, str(source), str(MAPPING), str(out)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    return Imported(source, out, json.loads((out / "report.json").read_text()), int(done.stdout))


@pytest.mark.slow
def test_every_row_of_the_real_table_is_accounted_for(imported: Imported) -> None:
    """Kept, merged and dropped rows by reason add up to the table's rows; events are stated."""
    report = imported.report
    assert (report["rows_read"], report["rows_kept"]) == (ROWS, 711_316)
    assert report["merged"] == {
        "charge_in_order_value": 3_631,
        "duplicate_row": 11_678,
        "over_50_items": 82_865,
    }
    assert report["dropped"] == {"missing_customer": 235_287, "no_price": 70}
    gone = sum(report["merged"].values()) + sum(report["dropped"].values())
    assert report["rows_read"] == report["rows_kept"] + gone
    assert report["events"] == {"purchase": ORDERS, "refund": 10_263}
    assert (len(report["days"]), sum(report["days"].values())) == (604, ORDERS + 10_263)
    assert (report["purchase_events_read"], report["cleaned"]) == (ORDERS, {})
    assert "of 18,390 lines that take something back, 15,209 are of a known" in report["notes"][0]


@pytest.mark.slow
def test_the_real_table_needs_little_memory(imported: Imported) -> None:
    """The whole import stays below 2 GB."""
    assert imported.peak_kib < 2_000_000


@pytest.mark.slow
def test_orders_and_customers_are_those_of_the_table(imported: Imported) -> None:
    """As many orders and customers as the table's own valid rows have, with the same turnover."""
    events = imported.events
    assert events.schema.remove_metadata().equals(EVENT_SCHEMA)
    orders = events.filter(pc.equal(events["type"], "purchase"))
    assert pc.count_distinct(orders["user_id"]).as_py() == CUSTOMERS
    assert pc.count_distinct(orders["order_id"]).as_py() == len(orders) == ORDERS
    assert pc.count_distinct(events["event_id"]).as_py() == len(events)
    assert set(pc.unique(events["currency"]).to_pylist()) == {"GBP"}
    for kind, cancelled in (("purchase", False), ("refund", True)):
        ((turnover,),) = duckdb.execute(_TURNOVER, [str(imported.source), cancelled]).fetchall()
        found = events.filter(pc.equal(events["type"], kind))["value_micros"]
        assert pc.sum(found).as_py() == pytest.approx(turnover, rel=1e-4)


@pytest.mark.slow
def test_refunds_are_of_orders_that_can_bear_them(imported: Imported) -> None:
    """Each linked refund is of an earlier order of the customer, and none takes back too much."""
    events = imported.events
    columns = ["order_id", "user_id", "event_time", "value_micros"]
    orders = events.filter(pc.equal(events["type"], "purchase")).select(columns)
    refunds = events.filter(pc.equal(events["type"], "refund")).select(columns)
    linked = refunds.filter(refunds["order_id"].is_valid())
    assert len(linked) == 8_292
    joined = linked.join(orders, keys=["order_id", "user_id"], right_suffix="_bought")
    assert joined["event_time_bought"].null_count == 0
    assert pc.all(pc.less_equal(joined["event_time_bought"], joined["event_time"])).as_py()
    sums = joined.group_by("order_id").aggregate(
        [("value_micros", "sum"), ("value_micros_bought", "max")]
    )
    assert pc.all(pc.less_equal(sums["value_micros_sum"], sums["value_micros_bought_max"])).as_py()


@pytest.mark.slow
def test_events_can_be_replayed(imported: Imported) -> None:
    """Records can be made of a day's events, each purchase in a session of its own."""
    table = pq.read_table(imported.folder / "2010-12-01.parquet")
    grouped = group_by_session(table, Shop("GBP", "Europe/London"))
    assert grouped.n_sessions == pc.count_distinct(table["session_id"]).as_py()
    assert set(table["source_seq"].to_pylist()) >= {1}


def test_shuffled_rows_in_csv_files_give_the_same_bytes(data_dir: Path, tmp_path: Path) -> None:
    """Rows of a real month in another order, split over CSV and Parquet, give byte-equal days."""
    table = pq.read_table(
        data_dir / "online_retail_II" / "online_retail_II.parquet",
        filters=[("Invoice", ">=", "490000"), ("Invoice", "<", "491500")],
    )
    assert len(table) > 15_000
    order = np.random.default_rng(7).permutation(len(table))
    shuffled = table.take(pa.array(order))
    pq.write_table(table, tmp_path / "whole.parquet")
    (tmp_path / "split").mkdir()
    pq.write_table(shuffled.slice(0, 5_000), tmp_path / "split" / "b.parquet")
    pa_csv.write_csv(shuffled.slice(5_000), tmp_path / "split" / "a.csv")
    whole = import_table(tmp_path / "whole.parquet", MAPPING, tmp_path / "one")
    split = import_table(tmp_path / "split", MAPPING, tmp_path / "two")
    assert (whole.rows_kept, whole.dropped) == (split.rows_kept, split.dropped)
    for path in sorted((tmp_path / "one").glob("*.parquet")):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()

"""Small tables and mappings, as the tests of the table importer need them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from training.importers import ImportReport, import_table

Row = dict[str, Any]

ORDERS: Row = {
    "shape": "orders",
    "columns": {
        "order_id": "order",
        "customer_id": "customer",
        "time": "time",
        "item_id": "item",
        "quantity": "quantity",
        "price": "price",
        "currency": {"constant": "GBP"},
    },
    "refunds": {"order_id_matches": "^C"},
}
EVENTS: Row = {
    "shape": "events",
    "columns": {
        "type": {"column": "event", "values": {"view": "item_view", "transaction": "purchase"}},
        "time": {"column": "timestamp", "unit": "ms"},
        "anonymous_id": "visitor",
        "item_id": "item",
    },
}


def line(order: object = "1", item: object = "a", **values: object) -> Row:
    """Make an order line of `ORDERS`; `values` replaces columns."""
    return {
        "order": order,
        "customer": "u1",
        "time": "2024-05-01T12:00:00",
        "item": item,
        "quantity": "1",
        "price": "2.50",
        **values,
    }


def happened(event: str | None = "view", minutes: float = 0, **values: object) -> Row:
    """Make a row of `EVENTS`, so many minutes after noon of 2024-05-01 (UTC)."""
    time = 1_714_564_800_000 + round(minutes * 60_000)
    return {"event": event, "timestamp": str(time), "visitor": "v1", "item": "a", **values}


def write_mapping(path: Path, content: Row | str) -> Path:
    """Write a mapping, given as YAML or as what it holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def write_csv(path: Path, rows: Sequence[Row], delimiter: str = ",") -> Path:
    """Write rows to a CSV file; None is an empty value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: Sequence[Row], schema: pa.Schema | None = None) -> Path:
    """Write rows to a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


def with_columns(mapping: Row, **columns: object) -> Row:
    """Give a mapping with columns replaced or added; None takes one away."""
    changed = {**mapping["columns"], **columns}
    return {
        **mapping,
        "columns": {n: source for n, source in changed.items() if source is not None},
    }


def imported(
    tmp_path: Path,
    rows: Sequence[Row],
    mapping: Row,
    **options: Any,  # noqa: ANN401 - those of the importer
) -> tuple[list[Row], ImportReport]:
    """Import rows by way of a CSV file; gives all events in the order of days, and the report."""
    path = write_csv(tmp_path / "table.csv", rows)
    report = import_table(
        path, write_mapping(tmp_path / "mapping.yaml", mapping), tmp_path / "events", **options
    )
    return events_of(tmp_path / "events"), report


def events_of(folder: Path) -> list[Row]:
    """Read the events of all days."""
    files = sorted(folder.glob("*.parquet"))
    return [row for path in files for row in pq.read_table(path).to_pylist()]

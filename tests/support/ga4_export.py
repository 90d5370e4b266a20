"""Small GA4 exports, row by row, as the tests of the importer need them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.importers import ImportReport, import_ga4

Row = dict[str, Any]

DAY = "2021-01-05"
NOON = int(datetime(2021, 1, 5, 12, tzinfo=UTC).timestamp()) * 1_000_000
SHOP = "https://shop.example"

PARAMS = pa.list_(
    pa.struct(
        [
            ("key", pa.string()),
            (
                "value",
                pa.struct(
                    [
                        ("string_value", pa.string()),
                        ("int_value", pa.int64()),
                        ("float_value", pa.float64()),
                        ("double_value", pa.float64()),
                    ]
                ),
            ),
        ]
    )
)
ITEM = pa.struct(
    [
        ("item_id", pa.string()),
        ("item_name", pa.string()),
        ("item_brand", pa.string()),
        *((f"item_category{n}", pa.string()) for n in ("", "2", "3", "4", "5")),
        ("price_in_usd", pa.float64()),
        ("price", pa.float64()),
        ("quantity", pa.int64()),
        ("item_list_index", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("event_date", pa.string()),
        ("event_timestamp", pa.int64()),
        ("event_name", pa.string()),
        ("event_params", PARAMS),
        ("event_bundle_sequence_id", pa.int64()),
        ("user_id", pa.string()),
        ("user_pseudo_id", pa.string()),
        (
            "privacy_info",
            pa.struct([("analytics_storage", pa.string()), ("ads_storage", pa.string())]),
        ),
        ("user_ltv", pa.struct([("revenue", pa.float64()), ("currency", pa.string())])),
        (
            "device",
            pa.struct(
                [
                    ("category", pa.string()),
                    ("language", pa.string()),
                    ("time_zone_offset_seconds", pa.int64()),
                ]
            ),
        ),
        (
            "traffic_source",
            pa.struct([("medium", pa.string()), ("name", pa.string()), ("source", pa.string())]),
        ),
        (
            "collected_traffic_source",
            pa.struct(
                [
                    ("manual_medium", pa.string()),
                    ("manual_campaign_name", pa.string()),
                    ("manual_source", pa.string()),
                    ("gclid", pa.string()),
                ]
            ),
        ),
        (
            "ecommerce",
            pa.struct(
                [
                    ("purchase_revenue", pa.float64()),
                    ("purchase_revenue_in_usd", pa.float64()),
                    ("refund_value", pa.float64()),
                    ("transaction_id", pa.string()),
                ]
            ),
        ),
        ("items", pa.list_(ITEM)),
    ]
)


def params(**values: str | int | float | None) -> list[Row]:
    """Give event parameters, each in the value field of its type."""
    fields = {str: "string_value", int: "int_value", float: "double_value"}
    return [
        {"key": key, "value": {fields.get(type(value), "string_value"): value}}
        for key, value in values.items()
    ]


def raw(
    name: str | None = "page_view",
    seconds: float = 0,
    *,
    user: str | None = "100.200",
    session: str | int | float | None = 7,
    page: str | None = "/",
    title: str | None = "A page",
    day: str | None = DAY,
    with_params: dict[str, Any] | None = None,
    **columns: object,
) -> Row:
    """Make a raw row, `seconds` after noon of `DAY` (UTC); `columns` replaces whole columns."""
    named = {
        "ga_session_id": session,
        "page_location": None if page is None else SHOP + page,
        "page_title": title,
    }
    values = {key: value for key, value in named.items() if value is not None}
    return {
        "event_date": day and day.replace("-", ""),
        "event_timestamp": NOON + round(seconds * 1_000_000),
        "event_name": name,
        "event_params": params(**values, **(with_params or {})),
        "user_pseudo_id": user,
        "items": [],
        **columns,
    }


def write_export(path: Path, rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> Path:
    """Write rows to a file of the given schema; what a row doesn't name is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


def with_column(schema: pa.Schema, name: str, found: pa.DataType) -> pa.Schema:
    """Give the schema with one column of another type."""
    return schema.set(schema.get_field_index(name), pa.field(name, found))


def without_column(schema: pa.Schema, name: str) -> pa.Schema:
    """Give the schema without a column."""
    return schema.remove(schema.get_field_index(name))


def events_of(folder: Path, day: str = DAY) -> list[Row]:
    """Read the events of a day, in file order."""
    rows: list[Row] = pq.read_table(folder / f"{day}.parquet").to_pylist()
    return rows


def imported(
    tmp_path: Path, rows: Sequence[Row], schema: pa.Schema = SCHEMA, currency: str = ""
) -> tuple[list[Row], ImportReport]:
    """Import rows of one day from one file, and give the events and the report."""
    path = write_export(tmp_path / "export" / "events_20210105.parquet", rows, schema)
    report = import_ga4([path], tmp_path / "events", currency=currency)
    found = tmp_path / "events" / f"{DAY}.parquet"
    return (events_of(tmp_path / "events") if found.exists() else []), report

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from micromoment.errors import InvalidDataError
from tests.support.tables import (
    ORDERS,
    events_of,
    line,
    with_columns,
    write_csv,
    write_mapping,
    write_parquet,
)
from training.importers import ImportReport, import_table

HEADER = b"order,customer,time,item,quantity,price\n"
GOOD = b"1,u1,2024-05-01,a,1,2.5\n"


def _import(tmp_path: Path, name: str, content: bytes, **csv: object) -> ImportReport:
    path = tmp_path / name
    path.write_bytes(content)
    mapping = write_mapping(tmp_path / "m.yaml", {**ORDERS, "csv": csv} if csv else ORDERS)
    return import_table(path, mapping, tmp_path / "events", replace=True)


def test_malformed_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    """Rows with too few or too many values are dropped; rows behind them keep their numbers."""
    rows = [GOOD, b"2,u1\n", GOOD.replace(b"1,", b"3,", 1), b"4,u1,2024-05-01,a,1,2.5,x,y\n"]
    bad = b"5,u1,2024-05-01,a,one,2.5\n"
    report = _import(tmp_path, "t.csv", HEADER + b"".join(rows) + bad)
    assert (report.rows_read, report.rows_kept) == (5, 2)
    assert report.dropped == {"malformed_row": 2, "quantity_not_a_number": 1}
    assert report.examples["malformed_row"].endswith("t.csv:2")
    assert report.examples["quantity_not_a_number"].endswith("t.csv:5")


def test_letters_that_are_none_cost_one_value(tmp_path: Path) -> None:
    """A text that isn't UTF-8 is missing; the rows around it are read."""
    report = _import(tmp_path, "t.csv", HEADER + GOOD + b"2,\xff\xfe,2024-05-01,a,1,2.5\n")
    assert report.dropped == {"missing_customer": 1}
    assert report.rows_kept == 1


def test_other_dialects_are_read_as_told(tmp_path: Path) -> None:
    """Delimiter and encoding come from the mapping; a mark at the start is no part of a name."""
    text = (HEADER + GOOD).decode().replace(",", ";").replace("u1", "Zoë")
    _import(tmp_path, "t.csv", text.encode("latin-1"), delimiter=";", encoding="latin-1")
    assert events_of(tmp_path / "events")[0]["user_id"] == "Zoë"
    assert _import(tmp_path, "t.csv", b"\xef\xbb\xbf" + HEADER + GOOD).rows_kept == 1
    windows = (HEADER + GOOD).replace(b"\n", b"\r\n") + b"\r\n"
    assert _import(tmp_path, "t.csv.gz", gzip.compress(windows)).rows_kept == 1


def test_values_may_hold_quotes_and_lines(tmp_path: Path) -> None:
    """What quotes enclose is one value."""
    row = b'"1",u1,2024-05-01,"a ""b"",\nc",1,2.5\n'
    _import(tmp_path, "t.csv", HEADER + row)
    assert events_of(tmp_path / "events")[0]["items"][0]["item_id"] == 'a "b",\nc'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "is empty: a first line with the columns is needed"),
        ("t.csv", b"a,b,a\n1,2,3\n", "has column 'a' twice"),
        ("t.csv.gz", gzip.compress((HEADER + GOOD) * 9_999)[:-99], "can't be read to its end"),
        ("t.csv.gz", HEADER + GOOD, "can't be read: Not a gzipped file"),
        ("t.csv", HEADER + b'"' + b"x" * 20_000_000 + b'"\n', "can't be read to its end"),
        ("t.parquet", HEADER + GOOD, "isn't a whole Parquet file"),
    ],
)
def test_files_that_cant_be_read_are_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """The message says which file and why, and nothing is written."""
    with pytest.raises(InvalidDataError, match=rf"{name}: {message}"):
        _import(tmp_path, name, content)
    assert not list((tmp_path / "events").glob("*"))


def test_an_empty_table_is_an_empty_import(tmp_path: Path) -> None:
    """A table without rows gives a report of zeros and no day."""
    report = _import(tmp_path, "t.csv", HEADER)
    assert (report.rows_read, report.rows_kept, report.days) == (0, 0, {})
    assert not list((tmp_path / "events").glob("*.parquet"))


def test_parquet_values_may_be_of_any_single_type(tmp_path: Path) -> None:
    """Numbers, floats, decimals, bytes, dates and zoned times are read like their texts."""
    schema = pa.schema(
        [
            ("order", pa.int64()),
            ("customer", pa.float64()),
            ("time", pa.timestamp("ns", tz="Europe/Paris")),
            ("item", pa.binary()),
            ("quantity", pa.decimal128(10, 2)),
            ("price", pa.float32()),
        ]
    )
    row = line(1, b"a", customer=13085.0, time=1_714_564_800 * 10**9, price=2.5)
    row["quantity"] = Decimal("2.00")
    write_parquet(tmp_path / "t.parquet", [row], schema)
    import_table(
        tmp_path / "t.parquet", write_mapping(tmp_path / "m.yaml", ORDERS), tmp_path / "events"
    )
    (event,) = events_of(tmp_path / "events")
    assert (event["order_id"], event["user_id"], event["value_micros"]) == ("1", "13085", 5_000_000)
    assert event["event_time"].isoformat() == "2024-05-01T12:00:00+00:00"
    assert event["items"][0]["quantity"] == 2


def test_a_column_of_lists_is_no_column_of_values(tmp_path: Path) -> None:
    """The file, the column and its type are named."""
    write_parquet(tmp_path / "t.parquet", [{**line(), "item": ["a", "b"]}])
    with pytest.raises(InvalidDataError, match=r"column .item. is list<.*>, not one value a row"):
        import_table(
            tmp_path / "t.parquet", write_mapping(tmp_path / "m.yaml", ORDERS), tmp_path / "events"
        )


def test_a_parquet_file_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    """Damage behind a good footer is found while reading, and nothing is written."""
    rows = [line(str(n), f"item-{n}") for n in range(20_000)]
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, compression="none", use_dictionary=False)
    raw = bytearray(path.read_bytes())
    raw[5_000:9_000] = b"\xff" * 4_000
    path.write_bytes(raw)
    with pytest.raises(InvalidDataError, match=r"t\.parquet: can't be read"):
        import_table(path, write_mapping(tmp_path / "m.yaml", ORDERS), tmp_path / "events")
    assert not list((tmp_path / "events").glob("*"))


def test_names_of_files_and_columns_may_be_awkward(tmp_path: Path) -> None:
    """Quotes, stars, brackets and blanks are only letters."""
    awkward = "The \"item\"; 'x' $y"
    rows = [{**line(), awkward: "a'b"}]
    path = write_csv(tmp_path / "t's [1].csv", rows)
    mapping = with_columns(ORDERS, item_id=awkward)
    mapping["attributes"] = {"it's $1": awkward}
    import_table([path], write_mapping(tmp_path / "m.yaml", mapping), tmp_path / "events")
    (event,) = events_of(tmp_path / "events")
    assert event["items"][0]["item_id"] == "a'b"
    assert event["attributes"] == [("it's $1", "a'b")]

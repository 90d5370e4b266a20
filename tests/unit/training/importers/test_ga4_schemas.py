from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from tests.support.ga4_export import (
    PARAMS,
    SCHEMA,
    Row,
    imported,
    raw,
    with_column,
    without_column,
    write_export,
)
from training.importers import import_ga4


def _one(tmp_path: Path, row: Row, schema: pa.Schema = SCHEMA) -> Row:
    events, _ = imported(tmp_path, [row], schema)
    (event,) = events
    return event


def test_types_of_other_exports(tmp_path: Path) -> None:
    """Numbers as text, ids as numbers and times as timestamps give the same event."""
    value = pa.struct([("string_value", pa.string()), ("float_value", pa.float32())])
    typed = pa.list_(pa.struct([("key", pa.string()), ("value", value)]))
    schema = with_column(SCHEMA, "event_params", typed)
    schema = with_column(schema, "user_pseudo_id", pa.float64())
    schema = with_column(schema, "event_date", pa.date32())
    schema = with_column(schema, "event_timestamp", pa.timestamp("us", tz="UTC"))
    texts = {"ga_session_id": "7", "session_engaged": "1", "percent_scrolled": "90"}
    row = raw("scroll", with_params={})
    row["event_params"] = [
        {"key": key, "value": {"string_value": text}} for key, text in texts.items()
    ]
    row["event_params"].append({"key": "engagement_time_msec", "value": {"float_value": 5.0}})
    row["user_pseudo_id"] = 1016436.2023999051
    row["event_date"] = pa.scalar(18632, pa.date32()).as_py()
    event = _one(tmp_path, row, schema=schema)
    assert event["session_id"] == "1016436.2023999051.7"
    assert (event["scroll_percent"], event["engagement_ms"]) == (90.0, 5)


def test_a_numeric_visitor_is_written_as_a_whole_number(tmp_path: Path) -> None:
    """A visitor or session stored as a double has no '.0' behind it; text ids stay as they are."""
    schema = with_column(SCHEMA, "user_pseudo_id", pa.float64())
    event = _one(tmp_path, raw(user=None, user_pseudo_id=42.0, session=7.0), schema=schema)
    assert event["session_id"] == "42.7"
    assert _one(tmp_path / "text", raw(user="42.0"))["anonymous_id"] == "42.0"


def test_columns_that_a_file_lacks_are_null(tmp_path: Path) -> None:
    """Only time, name, visitor and parameters are needed; the day then is the UTC day."""
    schema = pa.schema(
        [
            ("event_timestamp", pa.int64()),
            ("event_name", pa.string()),
            ("user_pseudo_id", pa.string()),
            ("event_params", PARAMS),
        ]
    )
    events, report = imported(tmp_path, [raw()], schema)
    assert events[0]["page_type"] == "home"
    assert (events[0]["device"], events[0]["items"], report.cleaned) == (None, None, {})


def test_files_of_different_schemas_go_together(tmp_path: Path) -> None:
    """Files whose columns differ are imported in one go."""
    write_export(tmp_path / "a.parquet", [raw(seconds=0)])
    write_export(tmp_path / "b.parquet", [raw(seconds=1)], without_column(SCHEMA, "items"))
    write_export(tmp_path / "c.parquet", [raw(seconds=2)], without_column(SCHEMA, "device"))
    report = import_ga4(tmp_path / "*.parquet", tmp_path / "out")
    assert [file.rows_kept for file in report.files] == [1, 1, 1]


def test_a_null_parameter_list_is_an_empty_one(tmp_path: Path) -> None:
    """A row whose parameters are null lacks a session and is dropped under that name."""
    rows = [raw(), raw(seconds=1, event_params=None), raw(seconds=2, event_params=[])]
    _, report = imported(tmp_path, rows)
    assert report.dropped == {"missing_ga_session_id": 2}


def test_an_unknown_event_is_kept_with_its_name(tmp_path: Path) -> None:
    """Events that GA4 doesn't define become other and keep their name as an attribute."""
    event = _one(tmp_path, raw("spin_the_wheel"))
    assert (event["type"], event["attributes"]) == ("other", [("ga4_event", "spin_the_wheel")])

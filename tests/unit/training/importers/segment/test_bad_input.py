from __future__ import annotations

from pathlib import Path

import pytest

from micromoment.errors import InvalidDataError, InvalidSettingError
from tests.support.segment_calls import Call, call, imported, track, write_lines
from training.importers import import_segment

BAD: dict[str, list[Call | str | bytes]] = {
    "malformed_json": [
        "{bad",
        '{"type": "page"',
        "[1]",
        '"text"',
        "null",
        b"\xff\xfe{}",
        "x" * 1_200_000,
        '{"type": "page", "messageId": "\\ud800"}',
    ],
    "unknown_call_type": ["{}", call("group"), {**call("page"), "type": ["page"]}],
    "missing_event_name": [track(None), track("  ")],
    "missing_event_time": [call("page", timestamp="soon", receivedAt=None)],
    "event_time_out_of_range": [
        call("page", timestamp="1999-12-31T23:59:59Z"),
        call("page", timestamp="2100-01-01T00:00:00Z"),
        call("page", timestamp="9999-12-31T00:00:00Z"),
    ],
    "missing_visitor": [call("page", anonymousId=None), call("page", anonymousId="  ")],
    "anonymous_id_too_long": [call("page", anonymousId="a" * 257)],
    "user_id_too_long": [call("page", anonymousId=None, userId="u" * 257)],
    "session_id_too_long": [
        call("page", anonymousId="a" * 250),
        call("page", context={"sessionId": "s" * 250}),
    ],
}

ODD: list[Call | str | bytes] = [
    track("Product Viewed", 1, properties="none", context=[1, 2]),
    track("Product Viewed", 2, properties=[{"product_id": "a"}], context=None),
    track("Product Viewed", 3, properties={"products": {"product_id": "a"}}),
    track("Order Completed", 4, properties={"products": ["a", 1, None], "total": {"of": 3}}),
    track("Order Cancelled", 5, properties={"total": 1e300, "order_id": "o" * 300}),
    track("Product Viewed", 6, properties={"product_id": "", "price": "NaN", "currency": "€"}),
    track("Product Viewed", 7, properties={"product_id": "p\u0000q", "quantity": 1e9}),
    track("x" * 400, 8, context={"page": {"path": "/" + "é" * 200, "title": "t" * 300}}),
    track("Cart Viewed", 9, context={"consent": {"categoryPreferences": [True]}}),
    (
        '{"type":"page","messageId":"twice","anonymousId":"a","timestamp":"2024-05-01T10:00:00Z",'
        '"context":{"consent":{"categoryPreferences":{"Analytics":true,"Analytics":false}}}}'
    ),
    track("Cart Viewed", 10, context={"campaign": "spring", "page": "home", "timezone": 3}),
    '{"type":"page","messageId":"trailing","anonymousId":"a","timestamp":"2024-05-01T10:00:00Z",}',
    {**call("page", 11), "anonymousId": 12345678901234567890, "messageId": {"a": 1}},
]


def test_calls_that_cant_be_used_are_dropped_by_reason(tmp_path: Path) -> None:
    """Each is dropped under its name with the place of the first, and the good one is kept."""
    lines: list[Call | str | bytes] = [call("page", messageId="good")]
    first = {}
    for reason, bad in BAD.items():
        first[reason] = len(lines) + 1
        lines += bad
    events, report = imported(tmp_path, lines)
    assert [e["event_id"] for e in events] == ["good"]
    assert report.dropped == {reason: len(bad) for reason, bad in sorted(BAD.items())}
    for reason, row in first.items():
        assert report.examples[reason].endswith(f"calls.jsonl:{row}")
    assert report.rows_read == len(lines)


def test_odd_values_never_break_an_import(tmp_path: Path) -> None:
    """Values of another type or beyond every limit cost that value and not the call."""
    events, report = imported(tmp_path, ODD)
    assert report.rows_kept == len(ODD) == len(events)
    assert report.dropped == report.merged == {}
    assert all(len(str(e["page_id"] or "").encode()) <= 256 for e in events)
    assert {e["anonymous_id"] for e in events} == {"browser", "a", "12345678901234567890"}
    assert report.cleaned["page_id.cut"] == report.cleaned["page_title.cut"] == 1
    assert report.cleaned["order_id.too_long"] == 1
    assert report.cleaned["currency.not_a_currency"] == 1
    assert report.cleaned["value_micros.out_of_range"] == 1


def test_nothing_usable_is_an_empty_import(tmp_path: Path) -> None:
    """Without a single usable call the report says so and there is no day."""
    events, report = imported(tmp_path, ["{", ""])
    assert events == []
    assert (report.rows_read, report.rows_kept, report.days) == (1, 0, {})


def test_a_broken_file_ends_the_import(tmp_path: Path) -> None:
    """A file that ends early is named, and no day of the others is written."""
    write_lines(tmp_path / "calls" / "a.jsonl", [call("page")])
    path = write_lines(tmp_path / "calls" / "b.jsonl.gz", [call("page", n) for n in range(999)])
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InvalidDataError, match=r"b\.jsonl\.gz: can't be read to its end"):
        import_segment(tmp_path / "calls", tmp_path / "events")
    assert [child.name for child in (tmp_path / "events").iterdir()] == []


def test_files_and_settings_that_arent_there_are_named(tmp_path: Path) -> None:
    """A folder without calls, a missing file and an unknown time zone are errors with a name."""
    with pytest.raises(InvalidDataError, match=r"no \*\.jsonl"):
        import_segment(tmp_path, tmp_path / "events")
    with pytest.raises(InvalidDataError, match=r"gone\.jsonl"):
        import_segment([tmp_path / "gone.jsonl"], tmp_path / "events")
    path = write_lines(tmp_path / "a.jsonl", [call("page")])
    with pytest.raises(InvalidSettingError, match="time_zone"):
        import_segment(path, tmp_path / "events", time_zone="Moon/Base")

"""Rows of the event log for tests."""

from __future__ import annotations

from micromoment.stores.log_rows import LogRow, RowKind


def a_row(
    session_id: str, *, kind: RowKind = RowKind.WENT_ON, received_s: float = 1_000.0
) -> LogRow:
    """Make a row that was received so many seconds after 1970."""
    return LogRow(round(received_s * 1e6), kind, "default", session_id, "v", b"body")

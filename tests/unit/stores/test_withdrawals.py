"""What a server that starts takes up of the withdrawals that its log tells of."""

from __future__ import annotations

from pathlib import Path

import pytest

from micromoment.scoring.calls import SessionKey
from micromoment.stores.log_rows import LogRow, RowKind, erased_row
from micromoment.stores.log_segments import LogLimits
from micromoment.stores.sessions import MemorySessionStore
from micromoment.stores.visit_log import SqliteVisitLog
from micromoment.stores.withdrawals import MemoryWithdrawals
from micromoment.stores.withdrawn_sessions import WithdrawnSessions, hash_of
from tests.unit.stores.test_visit_log import Observed

KEY = SessionKey("default", "s1")
MARK = LogRow(1, RowKind.ERASED, "", f"~{hash_of(KEY):016x}", "", b"")
LIMITS = LogLimits(segment_bytes=1 << 20, retention_s=1e12, max_bytes=1 << 30)


def a_call(kind: RowKind) -> LogRow:
    """Make the row of a call of the session."""
    return LogRow(1, kind, *KEY, "v", b"body")


@pytest.mark.parametrize("erases", [True, False])
@pytest.mark.parametrize("told", [MARK, erased_row(1, KEY)])
@pytest.mark.parametrize(
    ("later", "withdrawn"), [((), True), ((RowKind.BEGAN,), False), ((RowKind.WENT_ON,), False)]
)
async def test_a_session_that_began_anew_is_withdrawn_no_more(
    tmp_path: Path, told: LogRow, later: tuple[RowKind, ...], *, erases: bool, withdrawn: bool
) -> None:
    """Consent was given anew: a restart keeps what came since, and waits to delete none of it."""
    log = SqliteVisitLog(tmp_path, "commit", LIMITS, Observed(), clock_us=lambda: 1)
    for row in (a_call(RowKind.BEGAN), told, *map(a_call, later)):
        log.append(row)
    await log.close()
    known = WithdrawnSessions(100.0)
    log = SqliteVisitLog(tmp_path, "commit", LIMITS, Observed(), clock_us=lambda: 1)
    withdrawals = MemoryWithdrawals(
        MemorySessionStore(10, 60), log, known, erases=erases, clock_us=lambda: 1
    )
    withdrawals.take_up(tmp_path, ttl_s=100.0)
    assert (KEY in known) is withdrawn
    await withdrawals.close()
    await log.close()

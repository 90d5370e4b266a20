"""A withdrawal outlives re-keying: late events don't begin its session again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from micromoment.client import consent, event, score_request
from micromoment.stores.log_rows import LoggedVisit, RowKind
from micromoment.stores.log_segments import read_rows, segments
from micromoment.stores.redis_keys import DEFAULT_PREFIX
from micromoment.stores.redis_log import stream_name
from micromoment.v1 import events_pb2 as pb
from tests.support.keyed import BEFORE, ROTATED, calls_of, encoder, keyed_client
from tests.support.replicas import send
from tests.support.tiny_bundle import make_tiny_store
from training.rekeying import RekeyRequest, rekey


@pytest.mark.parametrize("is_rekeyed", [False, True])
async def test_a_withdrawn_session_stays_withdrawn(tmp_path: Path, *, is_rekeyed: bool) -> None:
    """Neither where servers have changed keys alone, nor where the log was brought under them."""
    make_tiny_store(tmp_path / "store")
    visits = [list(calls_of(f"visit-{number}", number)) for number in range(2)]
    no = score_request(
        "visit-0", [event("page_view", event_id="no")], anonymous_id="browser-0",
        consent=consent(analytics="denied"),
    )  # fmt: skip
    async with keyed_client(tmp_path / "store", tmp_path / "state", BEFORE) as client:
        for requests in visits:
            await send(client, requests[0])
        await send(client, no)
    log = tmp_path / "state" / "event_log"
    marks = _marks(log)
    assert len(marks) == 1
    if is_rekeyed:
        (report,) = rekey(RekeyRequest(encoder(ROTATED), str(log)))
        assert (report.renamed, report.left) == (1, 0)
        assert report.rows == 1 + len(_unnamed(log))
        again = rekey(RekeyRequest(encoder(ROTATED), str(log)))[0]
        assert (again.rewritten, again.rows, again.left) == (0, report.rows, 0)
    assert _marks(log) == marks
    async with keyed_client(tmp_path / "store", tmp_path / "state", ROTATED) as client:
        late, other = [await send(client, requests[1]) for requests in visits]
    assert late.consent.analytics == pb.CONSENT_STATE_DENIED
    assert [one.reason for one in late.consent.not_kept] == [pb.NOT_KEPT_REASON_WITHDRAWN]
    assert other.events_seen > 1


def _rows(log: Path) -> list[LoggedVisit]:
    return [row for segment in segments(log) for row in read_rows(segment)]


def _unnamed(log: Path) -> list[LoggedVisit]:
    return [row for row in _rows(log) if not row.tenant]


def _marks(log: Path) -> list[str]:
    rows = [row for row in _unnamed(log) if row.kind is RowKind.ERASED]
    return [row.session_id for row in rows if row.session_id]


def test_an_entry_that_names_nobody_stays_as_it_is(
    redis: Any,  # noqa: ANN401 - its own annotations cover awaitables
    port: int,
) -> None:
    """In Redis as in a folder: it counts as a row, and neither as renamed nor as left."""
    fields = {"time": 1, "kind": int(RowKind.ERASED), "tenant": "", "session": "~0123456789abcdef",
              "visitor": "", "body": b""}  # fmt: skip
    name = stream_name(DEFAULT_PREFIX)
    redis.xadd(name, fields)
    redis.xadd(name, fields | {"tenant": "default", "session": encoder(BEFORE).encode("visit")})
    visits, *_ = rekey(RekeyRequest(encoder(ROTATED), f"redis://127.0.0.1:{port}"))
    assert (visits.rows, visits.renamed, visits.left) == (2, 1, 0)
    stored = [fields[b"session"].decode() for _, fields in redis.xrange(name)]
    assert stored == ["~0123456789abcdef", encoder(ROTATED).encode("visit")]

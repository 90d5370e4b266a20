"""A withdrawal outlives re-keying: late events don't begin its session again."""

from __future__ import annotations

import asyncio
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
from training.rekeying.renaming import Renaming, StoreReport

WITHDRAWING = f"{DEFAULT_PREFIX}withdrawing"


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


async def test_a_pending_withdrawal_finds_its_rows_after_re_keying(
    tmp_path: Path,
    redis: Any,  # noqa: ANN401 - its own annotations cover awaitables
    port: int,
) -> None:
    """Its session waits under its key until the withdrawal is done, by whichever server."""
    make_tiny_store(tmp_path / "store")
    url = f"redis://127.0.0.1:{port}"
    stream = stream_name(DEFAULT_PREFIX)
    requests = [list(calls_of(f"visit-{number}", number, 2)) for number in range(2)]
    denial = requests[0][1]
    denial.consent.CopyFrom(consent(analytics="denied"))
    names = [encoder(BEFORE).encode(f"visit-{number}") for number in range(2)]
    try:
        async with keyed_client(
            tmp_path / "store", tmp_path / "one", BEFORE, session_store=url
        ) as client:
            for calls in requests:
                await send(client, calls[0])
            redis.execute_command("ACL", "SETUSER", "default", "-xdel")
            reply = await send(client, denial)
            assert reply.consent.withdrawal == pb.WITHDRAWAL_PENDING
    finally:
        redis.execute_command("ACL", "SETUSER", "default", "+xdel")
    assert redis.hlen(WITHDRAWING) == 1
    redis.delete(*redis.keys("*:writes"))  # the other visit ends
    visits, _, sessions = await asyncio.to_thread(rekey, RekeyRequest(encoder(ROTATED), url))
    assert (visits.renamed, visits.waiting, sessions.waiting) == (1, 2, 1)
    assert sessions.note == "1 of them are withdrawn and being deleted"
    async with keyed_client(
        tmp_path / "store", tmp_path / "two", ROTATED, session_store=url
    ) as client:
        for _ in range(100):
            if not redis.hlen(WITHDRAWING):
                break
            await asyncio.sleep(0.1)
        left = [fields[b"session"].decode() for _, fields in redis.xrange(stream)]
        assert left == [encoder(ROTATED).encode("visit-1")]
        assert not {*names}.intersection(left)
        late = await send(client, requests[0][0])
        assert [one.reason for one in late.consent.not_kept] == [pb.NOT_KEPT_REASON_WITHDRAWN]
    visits, _, sessions = await asyncio.to_thread(rekey, RekeyRequest(encoder(ROTATED), url))
    assert (visits.waiting, sessions.waiting, sessions.note) == (0, 0, "")


def test_what_is_deleted_meanwhile_does_not_come_back(
    redis: Any,  # noqa: ANN401 - its own annotations cover awaitables
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A withdrawal that ends while the stream is written anew has deleted what was copied."""
    stream = stream_name(DEFAULT_PREFIX)
    old, new = encoder(BEFORE), encoder(ROTATED)
    ids = [
        redis.xadd(
            stream,
            {"time": 1, "kind": int(RowKind.BEGAN), "tenant": "default", "visitor": "", "body": b"",
             "session": old.encode(f"visit-{number}")},
        )
        for number in range(4)
    ]  # fmt: skip
    take = Renaming.take

    def taken(renaming: Renaming, report: StoreReport, *stored: str) -> tuple[str, ...]:
        if stored[0] == old.encode("visit-3"):
            redis.xdel(stream, ids[0], ids[2])
        return take(renaming, report, *stored)

    monkeypatch.setattr(Renaming, "take", taken)
    visits, *_ = rekey(RekeyRequest(new, f"redis://127.0.0.1:{port}"))
    assert (visits.renamed, visits.rewritten) == (4, 1)
    left = [(one, fields[b"session"].decode()) for one, fields in redis.xrange(stream)]
    assert left == [(ids[place], new.encode(f"visit-{place}")) for place in (1, 3)]
    assert not redis.keys("*rekeyed*")

"""The event log on Redis: its streams are written anew, entry by entry, under their own ids.

Servers may serve meanwhile, if all of them have the new key first among theirs: then no session
begins under an earlier one. Entries of sessions that are still under way stay as they are, because
their servers go on logging under the same id, and those of sessions whose consent was withdrawn,
because servers delete them by it; run it again when those have ended. A stream is exchanged in one
step, which takes what has come meanwhile along, and nothing that has been deleted meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

from redis import Redis
from redis.exceptions import RedisError

from micromoment.errors import InvalidDataError
from micromoment.events.identity import key_id_of
from micromoment.stores.redis_log import stream_name
from micromoment.stores.redis_outside_visits import outside_stream_name
from micromoment.stores.redis_withdrawing import session_of, withdrawing_name
from micromoment.v1 import events_pb2, log_pb2
from training.progress import Advance
from training.rekeying.log_folder import masked_message
from training.rekeying.renaming import Renaming, StoreReport

_PAGE: Final = 1_000
_ANSWER_S: Final = 30.0
_DRAFT: Final = ":rekeyed"
# A draft that nobody finishes goes by itself.
_DRAFT_TTL_MS: Final = 24 * 3_600 * 1_000
_COUNT_SUFFIX: Final = b"}:writes"
# How often entries may be deleted while others are compared, before it is given up.
_MAX_TRIES: Final = 20
# What came meanwhile is of sessions that stay as they are, or under the current key already.
# Answers nothing, and does nothing, where the draft has entries that were deleted meanwhile.
_EXCHANGE: Final = """
local come = redis.call('XRANGE', KEYS[1], ARGV[1], '+')
if redis.call('XLEN', KEYS[1]) - #come ~= redis.call('XLEN', KEYS[2]) then return false end
for _, entry in ipairs(come) do
  redis.call('XADD', KEYS[2], entry[1], unpack(entry[2]))
end
local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then redis.call('PEXPIRE', KEYS[2], ttl) else redis.call('PERSIST', KEYS[2]) end
return redis.call('RENAME', KEYS[2], KEYS[1])
"""

_Fields = dict[bytes, bytes]
_Change = Callable[[_Fields, StoreReport], _Fields]


def rekey_log_streams(
    url: str, prefix: str, renaming: Renaming, advance: Advance
) -> list[StoreReport]:
    """Bring the streams of the servers of `prefix` under the current key, and count sessions.

    `advance` gets 1 for each stream. Raises `InvalidDataError` for a Redis that fails.
    """
    try:
        with closing(
            Redis.from_url(url, socket_timeout=_ANSWER_S, socket_connect_timeout=_ANSWER_S)
        ) as client:
            under_way = _sessions_to_wait_for(client, prefix, renaming)
            sessions = StoreReport("sessions in Redis", rows=under_way.count, left=0)
            sessions.waiting = len(under_way.waiting)
            if sessions.waiting:
                sessions.note = "go on under their key until they end"
            if under_way.withdrawn:
                sessions.note = f"{under_way.withdrawn:,} of them are withdrawn and being deleted"
            visits = StoreReport(f"stream {stream_name(prefix)}")
            _rekey_stream(
                client, stream_name(prefix), _visit_change(renaming, under_way.waiting), visits
            )
            advance(1)
            outside = StoreReport(f"stream {outside_stream_name(prefix)}")
            _rekey_stream(client, outside_stream_name(prefix), _outside_change(renaming), outside)
            advance(1)
    except (RedisError, ValueError) as error:
        # Not its text: a URL may hold a password.
        raise InvalidDataError("event log in Redis", type(error).__name__) from None
    return [visits, outside, sessions]


class _UnderWay:
    def __init__(self) -> None:
        self.count = 0
        self.waiting: set[str] = set()
        self.withdrawn = 0


def _sessions_to_wait_for(client: Redis, prefix: str, renaming: Renaming) -> _UnderWay:
    """Find the sessions that go on under another id than the current one."""
    found = _UnderWay()
    begins = f"{prefix}{{".encode()
    # A prefix may hold what a pattern takes for its own: what is found is compared.
    for key in client.scan_iter(match=f"*{_COUNT_SUFFIX.decode()}", count=_PAGE):
        if not key.startswith(begins):
            continue
        found.count += 1
        _, _, session = key[len(begins) : -len(_COUNT_SUFFIX)].partition(b":")
        stored = session.decode()
        if renaming.of(stored) != stored:
            found.waiting.add(stored)
    # After those: a session that goes between has its withdrawal noted in the same step.
    fields: Any = client.hkeys(withdrawing_name(prefix).decode())
    for field in fields:
        key = session_of(field)
        if key is not None and renaming.of(key.session_id) != key.session_id:
            found.withdrawn += key.session_id not in found.waiting
            found.waiting.add(key.session_id)
    return found


def _rekey_stream(client: Redis, name: str, change: _Change, report: StoreReport) -> None:
    draft = name + _DRAFT
    client.delete(draft)
    report.files = 1
    last = "0-0"
    for page in _pages(client, name):
        batch = client.pipeline(transaction=False)
        for entry_id, fields in page:
            batch.xadd(draft, change(fields, report), id=entry_id)  # type: ignore[arg-type] # names and values
            last = entry_id.decode()
        batch.pexpire(draft, _DRAFT_TTL_MS)
        batch.execute()
    if not report.renamed:
        client.delete(draft)
        return
    for _ in range(_MAX_TRIES):
        if client.eval(_EXCHANGE, 2, name, draft, f"({last}"):
            report.rewritten = 1
            return
        _leave_out_deleted(client, name, draft)
    raise InvalidDataError(f"stream {name}", "changes all the time: run it again")


def _leave_out_deleted(client: Redis, name: str, draft: str) -> None:
    """Delete from the draft what servers have deleted since it was read, by a withdrawal say."""
    for page in _pages(client, draft):
        first, last = page[0][0], page[-1][0]
        there: Any = client.xrange(name, min=first, max=last)
        gone = {entry_id for entry_id, _ in page} - {entry_id for entry_id, _ in there}
        if gone:
            client.xdel(draft, *gone)


def _pages(client: Redis, name: str) -> Iterator[list[tuple[bytes, _Fields]]]:
    after = "-"
    while True:
        page: Any = client.xrange(name, min=after, count=_PAGE)
        if page:
            yield page
        if len(page) < _PAGE:
            return
        after = f"({page[-1][0].decode()}"


def _visit_change(renaming: Renaming, waiting: set[str]) -> _Change:
    def change(fields: _Fields, report: StoreReport) -> _Fields:
        if not fields[b"tenant"]:  # it names nobody, as in a folder
            report.rows += 1
            return fields
        session, visitor = fields[b"session"].decode(), fields[b"visitor"].decode()
        if session in waiting:
            report.rows += 1
            report.waiting += 1
            return fields
        named = renaming.take(report, session, visitor)
        changed = {**fields, b"session": named[0].encode(), b"visitor": named[1].encode()}
        if session and not key_id_of(session):
            changed[b"body"] = masked_message(fields[b"body"], log_pb2.LoggedCall)
        return changed

    return change


def _outside_change(renaming: Renaming) -> _Change:
    def change(fields: _Fields, report: StoreReport) -> _Fields:
        visitor = fields[b"visitor"].decode()
        (named,) = renaming.take(report, visitor)
        changed = {**fields, b"visitor": named.encode()}
        if visitor and not key_id_of(visitor):
            changed[b"event"] = masked_message(fields[b"event"], events_pb2.Event)
        return changed

    return change

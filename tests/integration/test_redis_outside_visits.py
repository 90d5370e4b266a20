"""Events outside a visit on a real Redis: each stored once, by whichever server, and read back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from micromoment.errors import InvalidDataError
from micromoment.stores.errors import EventLogUnavailableError
from micromoment.stores.event_log import LoggedEvent
from micromoment.stores.redis_keys import DEFAULT_PREFIX
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import StreamLimits
from micromoment.stores.redis_outside_visits import RedisOutsideVisitLog, read_outside_stream
from micromoment.stores.redis_tombstones import RedisRegister, RedisTombstones
from micromoment.stores.tombstones import Erasure
from micromoment.v1 import events_pb2 as pb
from micromoment.v1.events_pb2_grpc import EventServiceStub
from tests.support.feature_stores import a_redis
from tests.support.keyed import K1, ROTATED, encoder
from tests.support.serving import a_server, an_application

NOW_US = 1_700_000_000_000_000
A_DAY = StreamLimits(86_400, 1_000_000)


@asynccontextmanager
async def a_log(port: int, limits: StreamLimits = A_DAY) -> AsyncIterator[RedisOutsideVisitLog]:
    """One server's log."""
    link = RedisLink(f"redis://127.0.0.1:{port}/0", 1.0)
    log = RedisOutsideVisitLog(link, prefix=DEFAULT_PREFIX, limits=limits)
    try:
        yield log
    finally:
        await log.close()


def an_event(event_id: str, tenant: str = "default") -> LoggedEvent:
    """Make an event."""
    return LoggedEvent(NOW_US, tenant, "visitor", event_id, b"\x00bytes")


def a_mail(number: int) -> pb.Event:
    """Make an event of so many seconds after `NOW_US`, as clients send it: a mail is opened."""
    mail = pb.Event(event_id=f"e{number}", type=pb.EVENT_TYPE_EMAIL_OPEN)
    mail.event_time.FromMicroseconds(NOW_US + number * 1_000_000)
    return mail


def stored(port: int) -> list[tuple[int, str, str]]:
    """Read the log as training does."""
    url = f"redis://127.0.0.1:{port}/0"
    return [(number, one.tenant, one.event_id) for number, one in read_outside_stream(url)]


async def test_an_event_is_stored_once(port: int, redis: Redis) -> None:
    """A repeated id is not stored again, whichever server it comes to; another tenant's is."""
    async with a_log(port) as first, a_log(port) as second:
        assert await first.append([an_event("e1"), an_event("e2"), an_event("e1")]) == (2, 0)
        assert await second.append([an_event("e2"), an_event("e2", "other")]) == (1, 0)
    assert stored(port) == [(1, "default", "e1"), (2, "default", "e2"), (3, "other", "e2")]
    ((_, event), *_) = read_outside_stream(f"redis://127.0.0.1:{port}/0")
    assert event == an_event("e1")
    keys = list(redis.scan_iter())
    assert len(keys) == 4
    assert all(redis.ttl(key) > 0 for key in keys)  # type: ignore[operator] # an int, not awaited
    assert not any(b"visitor" in key or b"e1" in key for key in keys)


async def test_late_events_are_told_as_such(port: int, redis: Redis) -> None:
    """A server that did not know of the erasure, which named the visitor by an earlier key's id.

    What it leaves out is neither stored nor a duplicate.
    """
    ids = encoder(ROTATED)
    erased = Erasure("default", (encoder(K1).encode("anna"),), time_us=NOW_US + 5_000_000)
    async with a_log(port) as log:
        application = an_application(event_log=log, ids=ids, clock_us=lambda: NOW_US + 60_000_000)
        async with a_server(application) as server, server.channel() as channel:
            ingest = EventServiceStub(channel).Ingest
            request = pb.IngestRequest(user_id="anna", events=[a_mail(number) for number in (1, 9)])
            reply = await ingest(request)
            assert (reply.accepted, reply.duplicates, reply.erased) == (2, 0, 0)
            link = RedisLink(f"redis://127.0.0.1:{port}/0", 5.0)
            shared = RedisTombstones(DEFAULT_PREFIX)
            await RedisRegister(link, shared, prefix=DEFAULT_PREFIX, retention_s=60.0).go_on(erased)
            await link.close()
            request.events.extend(a_mail(number) for number in (2, 3, 10))
            reply = await ingest(request)
    assert not reply.errors
    assert (reply.accepted, reply.duplicates, reply.erased) == (1, 1, 3)
    assert [event_id for *_, event_id in stored(port)] == ["e1", "e9", "e10"]


async def test_old_events_go(port: int, redis: Redis) -> None:
    """By number, by the hundred as Redis holds them; their ids stay as long as they might."""
    async with a_log(port, StreamLimits(86_400, 1_000)) as log:
        for first in range(0, 2_000, 100):
            await log.append([an_event(f"e{first + number}") for number in range(100)])
    assert 1_000 <= len(stored(port)) <= 1_100
    assert redis.dbsize() == 2_001


async def test_a_redis_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """Writers are told to send again, readers that it can't be read, without the URL's password."""
    with a_redis(tmp_path) as (process, port):
        async with a_log(port) as log:
            process.kill()
            process.wait()
            with pytest.raises(EventLogUnavailableError):
                await log.append([an_event("e1")])
    with pytest.raises(InvalidDataError, match="ConnectionError") as caught:
        list(read_outside_stream("redis://:secret@127.0.0.1:1/0"))
    assert "secret" not in str(caught.value)


async def test_a_damaged_entry_is_named(port: int, redis: Redis) -> None:
    """What is none of this format is an error with the entry's id."""
    redis.xadd(f"{DEFAULT_PREFIX}log:outside", {"time": "1"}, id="5-1")
    with pytest.raises(InvalidDataError, match="5-1"):
        stored(port)

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
from tests.support.feature_stores import a_redis

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
    return LoggedEvent(1_700_000_000_000_000, tenant, "visitor", event_id, b"\x00bytes")


def stored(port: int) -> list[tuple[int, str, str]]:
    """Read the log as training does."""
    url = f"redis://127.0.0.1:{port}/0"
    return [(number, one.tenant, one.event_id) for number, one in read_outside_stream(url)]


async def test_an_event_is_stored_once(port: int, redis: Redis) -> None:
    """A repeated id is not stored again, whichever server it comes to; another tenant's is."""
    async with a_log(port) as first, a_log(port) as second:
        assert await first.append([an_event("e1"), an_event("e2"), an_event("e1")]) == 2
        assert await second.append([an_event("e2"), an_event("e2", "other")]) == 1
    assert stored(port) == [(1, "default", "e1"), (2, "default", "e2"), (3, "other", "e2")]
    ((_, event), *_) = read_outside_stream(f"redis://127.0.0.1:{port}/0")
    assert event == an_event("e1")
    keys = list(redis.scan_iter())
    assert len(keys) == 4
    assert all(redis.ttl(key) > 0 for key in keys)  # type: ignore[operator] # an int, not awaited
    assert not any(b"visitor" in key or b"e1" in key for key in keys)


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

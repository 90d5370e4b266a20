"""C9: memory is bounded, in a server and in Redis."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from redis import Redis

from micromoment.features.state import new_state
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.redis_log import StreamLimits
from micromoment.stores.sessions import SESSION_BYTES
from tests.promises.conftest import Form
from tests.support.feature_stores import a_redis
from tests.support.log_rows import a_row
from tests.support.shared_sessions import PREFIX, a_replica, key_of

# In a process of its own: memory that other tests gave back is not its.
FILL = """
import gc, sys, uuid
import psutil
from micromoment.features.state import new_state
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.sessions import MemorySessionStore

most, distinct = map(int, sys.argv[1:])
process, state = psutil.Process(), new_state()
gc.collect()
before = process.memory_info().rss
store = MemorySessionStore(most, 7_200.0)
for _ in range(distinct):
    key = SessionKey("default", str(uuid.uuid4()))
    store.put(key, SessionEntry.of(state, str(uuid.uuid4())))
assert len(store) == most
print(process.memory_info().rss - before)
"""
REMEMBERED_LOST_BYTES = 1.8e6


def test_c9_distinct_sessions_stay_under_the_cap(
    form: Form, reached: Callable[[str, str], None]
) -> None:
    """Bounded: 1 M distinct sessions stay under the stated cap + 10 %."""
    most, distinct = form((20_000, 100_000), (200_000, 1_000_000))
    filled = subprocess.run(
        [sys.executable, "-c", FILL, str(most), str(distinct)],
        check=True,
        capture_output=True,
        text=True,
    )
    cap = most * SESSION_BYTES + REMEMBERED_LOST_BYTES
    taken = int(filled.stdout) / cap
    assert taken <= 1.1
    reached("C9", f"{distinct:,} sessions in {most:,} places: {taken:.0%} of the stated memory")


async def test_c9_every_redis_key_has_a_time_to_live(
    tmp_path: Path, form: Form, reached: Callable[[str, str], None]
) -> None:
    """Every Redis key has a TTL; the log, which is one key for all, is bounded as well."""
    sessions, most = form(3_000, 100_000), 1_000
    with a_redis(tmp_path) as (_, port), Redis(port=port) as redis:
        empty = _used(redis)
        limits = StreamLimits(86_400, most)
        async with a_replica(port, timeout_s=10.0, ttl_s=7_200.0, log=limits) as replica:

            async def keep(number: int) -> None:
                held = await replica.store.fetch(key_of(f"{number:036}"))
                entry = SessionEntry.of(new_state(), f"{number:036}")
                row = a_row(f"{number:036}")._replace(body=bytes(500))
                await replica.store.replace(key_of(f"{number:036}"), held, entry, row)

            for first in range(0, sessions, 500):
                await asyncio.gather(*(keep(first + place) for place in range(500)))
        lives = {key: int(str(redis.ttl(key))) for key in redis.scan_iter(count=1_000)}
        stream = f"{PREFIX}log".encode()
        assert 86_000 < lives.pop(stream) <= 86_400
        assert 0 < lives.pop(f"{PREFIX}formats".encode()) <= 14_400
        entries, entry_bytes = int(str(redis.xlen(stream))), redis.memory_usage(stream, samples=0)
        taken = _used(redis) - empty - int(str(entry_bytes))
    assert len(lives) == 2 * sessions
    assert all(0 < seconds <= 7_200 for seconds in lives.values())
    # Redis lets entries go by nodes of up to 100.
    assert most <= entries <= most + 100
    reached(
        "C9",
        f"{len(lives):,} keys of {sessions:,} sessions and the log, all with a TTL, "
        f"{taken // sessions:,} bytes a session; the log stayed at {entries:,} entries, "
        f"{int(str(entry_bytes)) // entries:,} bytes for a call of 500",
    )


def _used(redis: Redis) -> int:
    info: dict[str, int] = dict(redis.info("memory"))  # type: ignore[arg-type] # not a coroutine
    return info["used_memory"]

"""Sessions on a real Redis: kept, compared, expiring, apart from each other and other versions."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from redis import Redis
from xxhash import xxh3_64_intdigest

from micromoment.errors import InvalidSettingError, SessionNotFoundError
from micromoment.features.state import STATE, STATE_VERSION, new_state
from micromoment.scoring.calls import Degraded, SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.session_file import StateFormat
from tests.support.shared_sessions import PREFIX, Replica, a_replica, another_dtype, key_of


@pytest.fixture
async def replica(port: int, redis: Redis) -> AsyncIterator[Replica]:
    """One server's view of the sessions on an empty Redis."""
    async with a_replica(port) as replica:
        yield replica


def an_entry(events: int = 1, last_event_id: str = "e1") -> SessionEntry:
    """Make a session that has seen some events."""
    state = new_state()
    state[0]["events_seen"] = events
    return SessionEntry.of(state, last_event_id)


async def test_what_is_kept_is_read(replica: Replica, port: int) -> None:
    """Another server reads the same bits; the one that wrote need not ask."""
    entry = an_entry(7, "événement-7")
    store = replica.store
    held = await store.fetch(key_of("s1"))
    assert (held.version, held.entry) == (b"", None)
    assert await store.replace(key_of("s1"), held, entry) is None
    async with a_replica(port) as other:
        read = await other.store.fetch(key_of("s1"))
    recalled = store.recall(key_of("s1"))
    assert recalled is not None
    for one in (read, recalled):
        assert one.entry is not None
        assert one.entry.state.tobytes() == entry.state.tobytes()
        assert one.entry.last_event_id == "événement-7"
        assert one.version == read.version
    assert store.recall(key_of("s2")) is None


async def test_a_recalled_session_is_the_callers_own(replica: Replica) -> None:
    """Changing what was recalled changes nothing that is remembered: it can only be replaced."""
    await replica.score("s1", "e1")
    first = replica.store.recall(key_of("s1"))
    assert first is not None
    assert first.entry is not None
    first.entry.data = b"another"
    again = replica.store.recall(key_of("s1"))
    assert again is not None
    assert again.entry is not None
    assert again.entry.state[0]["events_seen"] == 0


async def test_what_has_changed_is_not_replaced(replica: Replica, port: int) -> None:
    """A write on an old version keeps nothing and gives what is there."""
    key = key_of("s1")
    held = await replica.store.fetch(key)
    async with a_replica(port) as other:
        await other.store.replace(key, await other.store.fetch(key), an_entry(2, "theirs"))
        now = await replica.store.replace(key, held, an_entry(1, "mine"))
        assert now is not None
        assert now.entry is not None
        assert now.entry.last_event_id == "theirs"
        assert await replica.store.replace(key, now, an_entry(3, "both")) is None
        read = await other.store.fetch(key)
    assert read.entry is not None
    assert read.entry.last_event_id == "both"


async def test_a_session_that_began_anew_does_not_pass_for_the_old_one(
    replica: Replica, port: int, redis: Redis
) -> None:
    """After Redis lost everything, as many writes elsewhere don't make an old memory current."""
    await replica.score("s1", "a")
    redis.flushall()
    async with a_replica(port) as other:
        await other.score("s1", "b")
        score = await replica.score("s1", "c")
    assert (score.events_seen, score.last_event_id) == (2, "c")


async def test_a_session_that_redis_lost_is_told(replica: Replica, redis: Redis) -> None:
    """The server that remembers a session says so when Redis has it no more."""
    await replica.score("s1", "a")
    redis.flushall()
    assert (await replica.score("s1", "b")).degraded == (Degraded.STATE_LOST,)


async def test_a_redis_that_went_back_is_told(replica: Replica, redis: Redis) -> None:
    """After a failover to one that had not yet heard of the last write, its loss is said."""
    await replica.score("s1", "a")
    before: dict[Any, Any] = {key: redis.dump(key) for key in redis.scan_iter()}
    await replica.score("s1", "b")
    for key, dumped in before.items():
        redis.restore(key, 60_000, dumped, replace=True)
    score = await replica.score("s1", "c")
    assert (score.events_seen, score.degraded) == (2, (Degraded.STATE_LOST,))


async def test_every_key_expires(port: int, redis: Redis) -> None:
    """Each write gives the key the whole time to live."""
    async with a_replica(port, ttl_s=30.0) as replica:
        for place in range(20):
            await replica.score(f"s{place % 10}", f"e{place}")
        lives = [int(str(redis.pttl(key))) for key in redis.scan_iter(b"*{*")]
        assert 0 < int(str(redis.pttl(f"{PREFIX}formats"))) <= 60_000
        assert redis.dbsize() == 21
    assert len(lives) == 20  # its state and its count
    assert all(0 < life <= 30_000 for life in lives)


async def test_a_session_is_forgotten_after_its_time(port: int, redis: Redis) -> None:
    """It begins anew, and is not called lost: its visit was over."""
    async with a_replica(port, ttl_s=0.05) as replica:
        await replica.score("s1", "a")
        await asyncio.sleep(0.1)
        score = await replica.score("s1", "b")
    assert (score.events_seen, score.degraded) == (1, ())


async def test_what_is_remembered_is_bounded(port: int, redis: Redis) -> None:
    """A server forgets the least recently used sessions, and reads them again when they come."""
    async with a_replica(port, max_recalled=3) as replica:
        for place in range(10):
            await replica.score(f"s{place}", "a")
        assert len(replica.store) == 3
        assert (await replica.score("s0", "b")).events_seen == 2


async def test_another_state_version_is_neither_read_nor_overwritten(
    port: int, redis: Redis
) -> None:
    """Two formats of the state on one Redis leave each other's states alone, and tell of them."""
    newer = StateFormat(STATE_VERSION + 1, another_dtype())
    theirs = SessionEntry.of(np.zeros(1, another_dtype()), "z")
    async with a_replica(port) as now, a_replica(port, state_format=newer) as later:
        await now.score("s1", "a")
        before = {key: redis.get(key) for key in redis.scan_iter(b"*}:v*")}
        held = await later.store.fetch(key_of("s1"))
        assert (held.entry, held.lost) == (None, True)
        assert await later.store.replace(key_of("s1"), held, theirs) is None
        assert {name: redis.get(name) for name in before} == before
        score = await now.score("s1", "b")
        assert (score.events_seen, score.degraded) == (2, (Degraded.STATE_LOST,))
        again = await later.store.fetch(key_of("s1"))
        assert again.entry is not None
        assert (again.entry.last_event_id, again.lost) == ("z", True)
        held = await now.store.fetch(key_of("s1"))
    assert (held.sequence, held.lost) == (3, False)
    assert len(before) == 1
    assert redis.dbsize() == 4  # with the set of formats


async def test_a_state_whose_count_is_gone_is_not_trusted(replica: Replica, redis: Redis) -> None:
    """Without the count nobody knows what another format wrote."""
    await replica.score("s1", "a")
    redis.delete(f"{PREFIX}{{default:s1}}:writes")
    score = await replica.score("s1", "b")
    assert (score.events_seen, score.degraded) == (2, (Degraded.STATE_LOST,))
    assert (await replica.store.fetch(key_of("s1"))).lost is False


def flipped(place: int) -> Callable[[bytes], bytes]:
    """Give what flips a bit of a value, places counted from its end where negative."""

    def flip(value: bytes) -> bytes:
        damaged = bytearray(value)
        damaged[place] ^= 1
        return bytes(damaged)

    return flip


def forged(value: bytes) -> bytes:
    """Let a state say that it has more pages than it has places for, under a right digest."""
    state = np.frombuffer(bytearray(value[-STATE.itemsize :]), STATE)
    state["n_page_slots"] = 17
    content = value[24 : -STATE.itemsize] + state.tobytes()
    return value[:16] + struct.pack("<Q", xxh3_64_intdigest(content)) + content


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "short": lambda _: b"x" * 17,
    "long": lambda _: b"x" * 5_000,
    "cut": lambda value: value[:-1],
    "longer": lambda value: value + b"x",
    **{f"bit at {place}": flipped(place) for place in (16, 24, 32, 34, -1, -700, -1_400, -2_100)},
    "forged": forged,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
async def test_a_damaged_value_is_never_answered_from(
    replica: Replica, port: int, redis: Redis, damage: Callable[[bytes], bytes]
) -> None:
    """It stays as it is; a server that reads it answers from the call's own events and says so."""
    await replica.score("s1", "a")
    (name,) = redis.scan_iter(b"*}:v*")
    written = redis.get(name)
    assert isinstance(written, bytes)
    value = damage(written)
    redis.set(name, value)
    async with a_replica(port) as other:
        score = await other.score("s1", "b")
    assert score.degraded == (Degraded.STATE_UNAVAILABLE,)
    assert (score.events_seen, score.last_event_id) == (1, "b")
    assert redis.get(name) == value


async def test_the_script_is_loaded_when_redis_forgot_it(replica: Replica, redis: Redis) -> None:
    """A Redis without the script, restarted say, costs a second round trip and no event."""
    await replica.score("s1", "a")
    redis.script_flush()
    assert (await replica.score("s1", "b")).events_seen == 2


async def test_a_closed_connection_is_noticed(replica: Replica, redis: Redis) -> None:
    """One that Redis closed while it was idle is opened again before it is used."""
    await replica.score("s1", "a")
    redis.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(1.1)
    assert (await replica.score("s1", "b")).degraded == ()


async def test_tenants_are_apart(replica: Replica) -> None:
    """No tenant's name reaches into another's sessions, however both are spelt."""
    await replica.store.replace(
        SessionKey("a:b", "c"), await replica.store.fetch(SessionKey("a:b", "c")), an_entry()
    )
    assert (await replica.store.fetch(SessionKey("a", "b:c"))).entry is None


async def test_prefixes_are_apart(replica: Replica, port: int, redis: Redis) -> None:
    """Servers with other prefixes share a Redis and nothing else."""
    await replica.score("s1", "a")
    async with a_replica(port, prefix="other:") as other:
        assert (await other.score("s1", "b")).events_seen == 1
    prefixes = {key.split(b"{")[0] for key in redis.scan_iter(b"*{*")}
    assert prefixes == {PREFIX.encode(), b"other:"}
    assert all(key.startswith((PREFIX.encode(), b"other:")) for key in redis.scan_iter())


async def test_reading_asks_redis(replica: Replica, port: int) -> None:
    """A question without events sees what another server has written since."""
    await replica.score("s1", "a")
    async with a_replica(port) as other:
        await other.score("s1", "b")
    assert (await replica.score("s1")).events_seen == 2
    assert (await replica.visits.session(key_of("s1"), explain=False)).last_event_id == "b"
    with pytest.raises(SessionNotFoundError):
        await replica.visits.session(key_of("s2"), explain=False)


async def test_a_dry_run_keeps_nothing(replica: Replica, redis: Redis) -> None:
    """It answers from what is there and writes no key."""
    assert (await replica.score("s1", "a", dry_run=True)).events_seen == 1
    assert redis.dbsize() == 0


async def test_after_close_nothing_waits(port: int) -> None:
    """A closed store is unavailable at once."""
    async with a_replica(port) as replica:
        await replica.score("s1", "a")
    with pytest.raises(SessionStoreUnavailableError):
        await replica.store.fetch(key_of("s1"))


@pytest.mark.parametrize(
    "url", ["redis://:secret@h:99999999/0", "redis://:secret@h/0?nonsense=1", "http://:secret@h"]
)
def test_a_bad_url_is_refused_without_telling_it(url: str) -> None:
    """The setting is named, its value isn't: it may hold a password."""
    with pytest.raises(InvalidSettingError, match="session_store") as caught:
        RedisLink(url, 0.05)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__

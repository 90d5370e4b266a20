"""Sessions and calls on a real Redis are erased, for every server and in every format."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from redis import Redis

from micromoment.events.hashing import hash_id
from micromoment.features.state import STATE, new_state
from micromoment.scoring.calls import Degraded
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.event_log import LoggedEvent
from micromoment.stores.log_rows import LogRow, RowKind, erased_row
from micromoment.stores.redis_erasing import erase_calls, sessions_holding
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import StreamLimits, fields_of, read_stream
from micromoment.stores.redis_outside_visits import RedisOutsideVisitLog
from micromoment.stores.session_file import StateFormat
from tests.support.log_rows import a_row
from tests.support.shared_sessions import PREFIX, Replica, a_replica, another_dtype, key_of

A_DAY = StreamLimits(86_400, 1_000_000)


@pytest.fixture
async def replica(port: int, redis: Redis) -> AsyncIterator[Replica]:
    """One server's view of sessions that are logged, on an empty Redis."""
    async with a_replica(port, log=A_DAY) as replica:
        yield replica


@pytest.fixture
async def link(port: int) -> AsyncIterator[RedisLink]:
    """A connection of its own."""
    link = RedisLink(f"redis://127.0.0.1:{port}/0", 5.0)
    yield link
    await link.close()


async def holding(
    link: RedisLink,
    replica: Replica,
    visitor: str,
    *,
    tenant: str = "default",
    others: bool = False,
) -> frozenset[str]:
    """Give the sessions of a visitor, by their states."""
    place = STATE.fields["visitor"][1]  # type: ignore[index] # it has fields
    suffix, words = replica.store.suffix, [hash_id(visitor)]
    return await sessions_holding(
        link, PREFIX, tenant, words, suffix=suffix, place=place, others=others
    )


def names(redis: Redis, word: str) -> list[bytes]:
    """Give the keys that hold a word in their name."""
    return [key for key in redis.scan_iter() if word.encode() in key]


async def test_a_forgotten_session_is_gone_in_every_format(
    replica: Replica, redis: Redis, port: int
) -> None:
    """Nothing of it is left, for servers with another format of the state either."""
    other_format = StateFormat(9, another_dtype())
    async with a_replica(port, state_format=other_format) as other:
        await replica.score("s1", "e1")
        held = await other.store.fetch(key_of("s1"))
        state = SessionEntry.of(np.zeros(1, another_dtype()), "e2")
        assert await other.store.replace(key_of("s1"), held, state) is None
        assert len(names(redis, "s1")) == 3
        assert await replica.store.forget(key_of("s1"))
        assert names(redis, "s1") == []
        assert not await replica.store.forget(key_of("s1"))


async def test_no_server_brings_it_back_or_calls_it_lost(replica: Replica, port: int) -> None:
    """One that remembers the session begins it anew with the events that come, and says nothing."""
    async with a_replica(port) as other:
        for number in range(3):
            await other.score("s1", f"e{number}")
        await replica.score("s1", "e3")
        await replica.store.forget(key_of("s1"))
        score = await other.score("s1", "e4")
        assert (score.events_seen, Degraded.STATE_LOST in score.degraded) == (1, False)
        # This one's memory is older than what is there now.
        await replica.store.forget(key_of("s1"))
        await replica.score("s1", "e5")
        score = await other.score("s1", "e6")
        assert (score.events_seen, Degraded.STATE_LOST in score.degraded) == (2, False)


async def test_what_redis_lost_is_called_lost_as_before(
    replica: Replica, redis: Redis, port: int
) -> None:
    """Where nobody forgot the session, one that is gone was lost."""
    await replica.score("s1", "e1")
    redis.delete(*names(redis, "s1"))
    score = await replica.score("s1", "e2")
    assert Degraded.STATE_LOST in score.degraded


async def test_a_loss_under_a_further_id_begins_no_session(replica: Replica, redis: Redis) -> None:
    """It counts where the session is; elsewhere nothing is left that nobody could forget."""
    store = replica.store
    await replica.score("known", "e1")
    for name in ("known", "unknown", "both"):
        store.remember_lost(key_of(name), only_if_known=True)
    store.remember_lost(key_of("first"))
    # Lost in earnest, too, in either order.
    store.remember_lost(key_of("both"))
    store.remember_lost(key_of("first"), only_if_known=True)
    await store.fetch(key_of("other"))
    async with asyncio.timeout(10):
        while store.losses_unsaid:  # noqa: ASYNC110 - Redis is told in the background
            await asyncio.sleep(0.01)
    assert names(redis, "unknown") == []
    lost = {name: (await store.fetch(key_of(name))).lost for name in ("known", "both", "first")}
    assert lost == {"known": True, "both": True, "first": True}


async def test_forgetting_is_logged_with_it(replica: Replica, port: int) -> None:
    """A row without content stands where the session was forgotten; it begins anew after."""
    for number, kind in ((1, RowKind.BEGAN), (2, RowKind.WENT_ON)):
        held = await replica.store.fetch(key_of("s1"))
        entry = SessionEntry.of(new_state(), f"e{number}")
        await replica.store.replace(key_of("s1"), held, entry, a_row("s1", kind=kind))
    await replica.store.forget(key_of("s1"), erased_row(5, key_of("s1")))
    held = await replica.store.fetch(key_of("s1"))
    assert (held.sequence, held.lost) == (0, False)
    await replica.store.replace(
        key_of("s1"), held, SessionEntry.of(new_state(), "e3"), a_row("s1", kind=RowKind.BEGAN)
    )
    rows = list(read_stream(f"redis://127.0.0.1:{port}", prefix=PREFIX))
    began, went, erased = RowKind.BEGAN, RowKind.WENT_ON, RowKind.ERASED
    assert [row.kind for row in rows] == [began, went, erased, began]
    assert (rows[2].visitor_id, rows[2].body) == ("", b"")


async def test_sessions_are_found_by_the_visitor_in_their_states(
    replica: Replica, link: RedisLink, redis: Redis
) -> None:
    """Among many, by the hash that a state holds."""
    for number in range(700):
        state = new_state()
        state["visitor"] = hash_id("canary" if number % 100 == 0 else f"v{number}")
        held = await replica.store.fetch(key_of(f"s{number}"))
        await replica.store.replace(key_of(f"s{number}"), held, SessionEntry.of(state, "e"))
    found = await holding(link, replica, "canary")
    assert found == {f"s{number}" for number in range(0, 700, 100)}
    assert await holding(link, replica, "canary", tenant="other") == frozenset()


async def test_sessions_that_saw_what_has_the_visitors_id_are_not_the_visitors(
    replica: Replica, link: RedisLink, redis: Redis
) -> None:
    """Products, pages and categories are hashed as visitors are; the last event's id is any."""
    for session, visitor, last_event_id in (
        ("theirs", "1001", "e"),
        ("theirs-too", "1001", "e" * 300),
        ("nobody's", "", "e"),
        ("another's", "2002", hash_id("1001").to_bytes(8, "little").decode("latin-1")),
    ):
        state = new_state()
        state["visitor"] = hash_id(visitor) if visitor else 0
        for field in ("item_keys", "category_keys", "page_keys", "last_item", "landing_page"):
            state[field] = hash_id("1001")
        held = await replica.store.fetch(key_of(session))
        entry = SessionEntry.of(state, last_event_id)
        await replica.store.replace(key_of(session), held, entry)
    for others in (False, True):
        assert await holding(link, replica, "1001", others=others) == {"theirs", "theirs-too"}


async def test_states_of_other_formats_are_searched_whole_and_only_to_erase(
    replica: Replica, link: RedisLink, port: int
) -> None:
    """Where a word may be anywhere, what is not surely the visitor's is never handed out."""
    async with a_replica(port, state_format=StateFormat(9, another_dtype())) as other:
        for session, word in (("s1", "canary"), ("s2", "v")):
            state = np.zeros(1, another_dtype())
            state["else"] = np.uint64(hash_id(word)).view("f8")
            held = await other.store.fetch(key_of(session))
            await other.store.replace(key_of(session), held, SessionEntry.of(state, "e"))
        assert await holding(link, replica, "canary", others=True) == {"s1"}
        assert await holding(link, replica, "canary") == frozenset()


async def test_calls_are_erased_from_the_log(
    replica: Replica, link: RedisLink, port: int, redis: Redis
) -> None:
    """All of each session in which the visitor occurs, over many pages; others' stay."""
    for number in range(1_200):
        row = a_row(f"s{number % 6}", kind=RowKind.BEGAN)
        if number % 60 == 0:
            row = row._replace(visitor_id="canary")
        redis.xadd(f"{PREFIX}log", dict(_fields(row, number)))
    erased = await erase_calls(link, PREFIX, "default", visitors=["canary"])
    assert (erased.sessions, erased.rows) == (frozenset({"s0"}), 200)
    left = list(read_stream(f"redis://127.0.0.1:{port}", prefix=PREFIX))
    assert {row.session_id for row in left} == {f"s{number}" for number in range(1, 6)}
    assert (await erase_calls(link, PREFIX, "default", visitors=["canary"])).rows == 0


async def test_events_outside_visits_are_erased(link: RedisLink, redis: Redis) -> None:
    """Of the visitor, and that they were told; others' stay."""
    log = RedisOutsideVisitLog(link, prefix=PREFIX, limits=A_DAY)
    await log.append(
        [LoggedEvent(1, "default", visitor, f"{visitor}{n}", b"e")
         for visitor in ("canary", "v") for n in range(3)]
    )  # fmt: skip
    assert await log.erase("default", ["canary"]) == 3
    assert redis.xlen(f"{PREFIX}log:outside") == 3
    assert len(names(redis, "outside:")) == 3
    assert await log.erase("default", ["canary"]) == 0


def _fields(row: LogRow, number: int) -> list[tuple[str | bytes | int, str | bytes | int]]:

    flat = fields_of(row, number)
    return list(zip(flat[::2], flat[1::2], strict=True))

"""Tombstones on a real Redis: no server writes before it knows who was erased."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import Redis

from micromoment.events.hashing import hash_id
from micromoment.scoring.calls import Degraded, ScoreCall
from micromoment.stores.errors import SessionStoreUnavailableError, TombstonesUnavailableError
from micromoment.stores.event_log import LoggedEvent
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import StreamLimits
from micromoment.stores.redis_outside_visits import RedisOutsideVisitLog
from micromoment.stores.redis_tombstones import RedisRegister, RedisTombstones
from micromoment.stores.tombstones import Erasure
from micromoment.transport.observer import NoObserver
from micromoment.transport.shared_visits import SharedVisits
from micromoment.transport.visitors import VisitCall, Visitors
from micromoment.v1 import events_pb2
from tests.support.events import START_US, an_event, to_batch
from tests.support.serving import CountingScorer, SlowUsers
from tests.support.shared_sessions import PREFIX, Replica, a_replica, key_of

A_DAY = 86_400.0
AFTER_US = 4_000_000_000_000_000  # long after any erasure of today


@pytest.fixture
async def link(port: int) -> AsyncIterator[RedisLink]:
    """A connection of its own."""
    link = RedisLink(f"redis://127.0.0.1:{port}/0", 5.0)
    yield link
    await link.close()


def a_register(link: RedisLink, retention_s: float = A_DAY) -> RedisRegister:
    """Open the register as another server has it."""
    return RedisRegister(link, RedisTombstones(PREFIX), prefix=PREFIX, retention_s=retention_s)


def visits_of(replica: Replica) -> SharedVisits:
    """Give visits that look at the replica's tombstones, as a server does."""
    visitors = Visitors(SlowUsers(), 1.0, NoObserver())
    erased = replica.store.erased.tombstones
    return SharedVisits(CountingScorer(), replica.store, visitors, NoObserver(), erased=erased)


def a_visit(session: str, visitor: str, *times_us: int) -> VisitCall:
    """Make a call with an event at each of these times."""
    ids = tuple(f"{session}-{time_us}" for time_us in times_us)
    happened = [
        an_event(event_id=event_id, event_time=time_us)
        for event_id, time_us in zip(ids, times_us, strict=True)
    ]
    call = ScoreCall(key_of(session), hash_id(visitor), to_batch(happened), ids)
    events = [events_pb2.Event(event_id=event_id) for event_id in ids]
    return VisitCall(call, (visitor,), events)


async def test_a_server_that_does_not_know_is_refused_and_learns(
    port: int, redis: Redis, link: RedisLink
) -> None:
    """Late events of the first call after the erasure, decoded before it, are not kept."""
    async with a_replica(port, timeout_s=5.0) as replica:
        visits = visits_of(replica)
        await visits.score(a_visit("s1", "canary", START_US))
        assert replica.store.erased.tombstones.times == {}
        erasure = await a_register(link).begin(Erasure("default", ("canary",), frozenset({"s1"})))
        await replica.store.forget(key_of("s1"))
        learned = []
        replica.store.erased.changed = lambda: learned.append(True)
        late = a_visit("s1", "canary", START_US + 1)
        score = await visits.score(late)
        assert (score.events_seen, late.late, late.is_late) == (1, 1, True)
        assert Degraded.STATE_LOST not in score.degraded
        assert not any(b"s1" in key for key in redis.scan_iter())
        assert learned == [True]
        assert replica.store.erased.tombstones.until((), "default", ["canary"]) == erasure.time_us
        # What came after it is kept, alone; others never noticed.
        both = a_visit("s1", "canary", START_US + 2, AFTER_US)
        assert (await visits.score(both)).events_seen == 1
        assert (both.late, both.is_late) == (1, False)
        assert (await visits.score(a_visit("s2", "other", START_US))).events_seen == 1
        held = await replica.store.fetch(key_of("s1"))
        assert held.sequence == 1


async def test_folding_late_events_counts_none(port: int, redis: Redis, link: RedisLink) -> None:
    """Also where the server learns of the erasure while it folds."""
    async with a_replica(port, timeout_s=5.0) as replica:
        await a_register(link).begin(Erasure("default", ("canary",)))
        late = a_visit("s1", "canary", START_US, START_US + 1)
        result = await visits_of(replica).fold(late)
        assert (result.accepted, result.duplicates, late.late) == (0, 0, 2)
        assert not any(b"s1" in key for key in redis.scan_iter())


async def test_events_outside_visits_are_refused_too(
    port: int, redis: Redis, link: RedisLink
) -> None:
    """Those from before the erasure, at a server that did not know of it."""
    log = RedisOutsideVisitLog(link, prefix=PREFIX, limits=StreamLimits(A_DAY, 1_000))
    await a_register(link).begin(Erasure("default", ("canary",)))

    def told(visitor: str, number: int, time_us: int) -> LoggedEvent:
        event = events_pb2.Event(event_id=f"{visitor}{number}")
        event.event_time.FromMicroseconds(time_us)
        return LoggedEvent(1, "default", visitor, f"{visitor}{number}", event.SerializeToString())

    events = [told("canary", 1, START_US), told("canary", 2, AFTER_US), told("v", 3, START_US)]
    assert await log.append(events) == (2, 1)
    entries: Any = redis.xrange(f"{PREFIX}log:outside")
    stored = [fields[b"id"] for _, fields in entries]
    assert stored == [b"canary2", b"v3"]


async def test_a_register_is_shared_and_its_keys_expire(
    port: int, redis: Redis, link: RedisLink
) -> None:
    """What one server began another one finishes; tombstones hold no id, and expire."""
    first, second = a_register(link), a_register(link)
    begun = await first.begin(Erasure("default", ("canary",)))
    await first.go_on(begun.with_sessions({"canary-s"}))
    (pending,) = await second.pending()
    assert pending.sessions == {"canary-s"}
    await second.finish(pending)
    assert await first.pending() == []
    names = {key: int(str(redis.pttl(key))) for key in redis.scan_iter()}
    assert set(names) == {f"{PREFIX}erased".encode(), f"{PREFIX}erased:version".encode()}
    assert all(0 < life <= A_DAY * 1_000 for life in names.values())
    members: Any = redis.zrange(f"{PREFIX}erased", 0, -1)
    assert len(members) == 2
    assert all(len(member) == 16 for member in members)
    # The next one drops what is older than the retention.
    await a_register(link, retention_s=0.000_001).begin(Erasure("default", ("other",)))
    assert redis.zcard(f"{PREFIX}erased") in {0, 1}


async def test_a_later_erasure_is_not_taken_back(port: int, redis: Redis, link: RedisLink) -> None:
    """By a server that still tries to finish the one before."""
    register = a_register(link)
    first = await register.begin(Erasure("default", ("canary",)))
    second = await register.begin(Erasure("default", ("canary",)))
    assert second.time_us > first.time_us
    await register.go_on(first)
    shared = RedisTombstones(PREFIX)
    await shared.refresh(link)
    assert shared.tombstones.until((), "default", ["canary"]) == second.time_us


async def test_what_is_found_late_is_learned_with_its_old_time(
    port: int, redis: Redis, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By servers that meanwhile learned of later erasures, however much later."""
    first = await a_register(link).begin(Erasure("default", ("canary",)))
    hours_later_ns = time.time_ns() + 7_200 * 1_000_000_000
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: hours_later_ns)
        await a_register(link).begin(Erasure("default", ("other",)))
    shared = RedisTombstones(PREFIX)
    await shared.refresh(link)
    await a_register(link).go_on(first.with_sessions({"s1"}))
    await shared.refresh(link)
    assert shared.tombstones.until([key_of("s1")], "default", []) == first.time_us


async def test_a_server_knows_its_own_erasures_at_once(
    port: int, redis: Redis, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Redis took them and does not answer then."""
    register = a_register(link)
    begun = await register.begin(Erasure("default", ("canary",)))
    ask = link.ask

    async def ask_no_version(*command: str | bytes | int) -> object:
        if command[0] == b"GET":
            raise SessionStoreUnavailableError
        return await ask(*command)

    monkeypatch.setattr(link, "ask", ask_no_version)
    with pytest.raises(TombstonesUnavailableError):
        await register.go_on(begun.with_sessions({"s1"}))
    assert register.tombstones.until([key_of("s1")], "default", []) == begun.time_us


async def test_many_tombstones_are_learned_in_pages(
    port: int, redis: Redis, link: RedisLink
) -> None:
    """All of them, also by a server that starts later."""
    visitors = tuple(f"v{number}" for number in range(2_500))
    await a_register(link).begin(Erasure("default", visitors))
    shared = RedisTombstones(PREFIX)
    await shared.refresh(link)
    assert len(shared.tombstones.times) == 2_500
    assert all(shared.tombstones.until((), "default", [one]) for one in visitors)

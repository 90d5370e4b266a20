"""Withdrawals on a real Redis: what one server deletes, and what another is granted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from redis import Redis

from micromoment.features.state import new_state
from micromoment.scoring.calls import Withdrawal
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.errors import SessionStoreUnavailableError
from micromoment.stores.log_rows import RowKind
from micromoment.stores.redis_erasing import erase_calls_until
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import StreamLimits, fields_of, read_stream
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.redis_withdrawals import LOOK_S, RedisWithdrawals
from micromoment.stores.redis_withdrawing import withdrawing_field
from tests.support.log_rows import a_row
from tests.support.shared_sessions import PREFIX, Replica, a_replica, key_of

A_DAY = StreamLimits(86_400, 1_000_000)
S1 = key_of("s1")
TRIES = 1_000
UNDER_WAY = f"{PREFIX}withdrawing"


class HeldUpLink(RedisLink):
    """A connection that asks nothing until it is let."""

    def __init__(self, url: str) -> None:
        super().__init__(url, 5.0)
        self.is_free = asyncio.Event()

    async def ask(self, *command: str | bytes | int) -> Any:  # noqa: ANN401 - what Redis answers
        """Wait, then ask."""
        await self.is_free.wait()
        return await super().ask(*command)


@pytest.fixture
async def replica(port: int, redis: Redis) -> AsyncIterator[Replica]:
    """One server's sessions, on an empty Redis."""
    async with a_replica(port, timeout_s=5.0, log=A_DAY) as replica:
        yield replica


@asynccontextmanager
async def withdrawals_of(
    replica: Replica, port: int, *, erases: bool = True, look_s: float = LOOK_S
) -> AsyncIterator[tuple[RedisWithdrawals, asyncio.Event]]:
    """Give a server's withdrawals, and what lets them go through the log."""
    link = HeldUpLink(f"redis://127.0.0.1:{port}/0")
    withdrawals = RedisWithdrawals(
        replica.store, link, PREFIX, erases=erases, clock_us=lambda: 9, look_s=look_s
    )
    yield withdrawals, link.is_free
    await withdrawals.close()


async def keep(store: RedisSessionStore, *event_ids: str) -> None:
    """Keep these events of the session, each with its row of the log."""
    for event_id in event_ids:
        held = await store.fetch(S1)
        kind = RowKind.WENT_ON if held.sequence else RowKind.BEGAN
        entry = SessionEntry.of(new_state(), event_id)
        assert await store.replace(S1, held, entry, a_row("s1", kind=kind)) is None


def kinds(port: int) -> list[int]:
    """Read the log."""
    return [row.kind for row in read_stream(f"redis://127.0.0.1:{port}", prefix=PREFIX)]


async def until_done(withdrawals: RedisWithdrawals) -> None:
    """Wait for what goes on in the background."""
    async with asyncio.timeout(10):
        while not await withdrawals.allow(S1):
            pass


async def test_what_another_server_is_granted_anew_stays(replica: Replica, port: int) -> None:
    """State and calls, although the earlier calls are only then deleted."""
    async with a_replica(port, timeout_s=5.0, log=A_DAY) as other:
        await keep(replica.store, "e1", "e2")
        async with withdrawals_of(replica, port) as (withdrawals, is_free):
            assert await withdrawals.withdraw(S1) is Withdrawal.PENDING
            await keep(other.store, "e3")
            assert kinds(port) == [RowKind.BEGAN, RowKind.WENT_ON, RowKind.ERASED, RowKind.BEGAN]
            is_free.set()
            await until_done(withdrawals)
        held = await other.store.fetch(S1)
        assert (held.sequence, held.lost) == (1, False)
        assert kinds(port) == [RowKind.BEGAN]


async def test_what_was_granted_anew_is_withdrawn_again(replica: Replica, port: int) -> None:
    """Also while the deletion before is still under way."""
    async with a_replica(port, timeout_s=5.0, log=A_DAY) as other:
        await keep(replica.store, "e1")
        async with withdrawals_of(replica, port) as (withdrawals, is_free):
            assert await withdrawals.withdraw(S1) is Withdrawal.PENDING
            await keep(other.store, "e2")
            assert await withdrawals.withdraw(S1) is Withdrawal.PENDING
            held = await replica.store.fetch(S1)
            assert (held.entry, held.withdrawn) == (None, True)
            is_free.set()
            await until_done(withdrawals)
        assert kinds(port) == []


@pytest.mark.parametrize("erases", [True, False])
async def test_what_redis_was_not_told_is_told_later(
    replica: Replica, port: int, monkeypatch: pytest.MonkeyPatch, erases: bool
) -> None:
    """Once; and where it is kept in the log, the log says that it doesn't count."""
    await keep(replica.store, "e1")
    withdraw = replica.store.withdraw

    async def fail(*_: object, **__: object) -> None:
        raise SessionStoreUnavailableError

    async with withdrawals_of(replica, port, erases=erases) as (withdrawals, is_free):
        is_free.set()
        monkeypatch.setattr(replica.store, "withdraw", fail)
        assert await withdrawals.withdraw(S1) is Withdrawal.PENDING
        monkeypatch.setattr(replica.store, "withdraw", withdraw)
        await until_done(withdrawals)
        held = await replica.store.fetch(S1)
        assert (held.entry, held.withdrawn) == (None, True)
        assert await withdrawals.withdraw(S1) is Withdrawal.NONE
    assert kinds(port) == ([] if erases else [RowKind.BEGAN, RowKind.ERASED])


async def until_none_is_under_way(redis: Redis) -> None:
    """Wait until all withdrawals are done."""
    for _ in range(TRIES):
        if not redis.exists(UNDER_WAY):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("one is still under way")


async def test_what_a_server_left_the_next_finishes(
    replica: Replica, port: int, redis: Redis
) -> None:
    """At its start, and what the session was granted anew meanwhile stays."""
    await keep(replica.store, "e1", "e2")
    async with withdrawals_of(replica, port) as (withdrawals, _):
        assert await withdrawals.withdraw(S1) is Withdrawal.PENDING
    lives_ms: Any = redis.pttl(UNDER_WAY)
    assert 0 < lives_ms <= A_DAY.retention_s * 1_000
    assert kinds(port) == [RowKind.BEGAN, RowKind.WENT_ON, RowKind.ERASED]
    async with a_replica(port, timeout_s=5.0, log=A_DAY) as other:
        await keep(other.store, "e3")
        async with withdrawals_of(other, port) as (later, is_free):
            is_free.set()
            later.resume()
            await until_none_is_under_way(redis)
        assert kinds(port) == [RowKind.BEGAN]
        assert (await other.store.fetch(S1)).sequence == 1


async def test_what_a_server_left_those_beside_it_finish(
    replica: Replica, port: int, redis: Redis
) -> None:
    """Two that find it at once are in each other's way no more than one is."""
    async with (
        a_replica(port, timeout_s=5.0, log=A_DAY) as second,
        a_replica(port, timeout_s=5.0, log=A_DAY) as third,
        withdrawals_of(second, port, look_s=0.05) as (beside, is_free),
        withdrawals_of(third, port, look_s=0.05) as (beside_it, is_free_too),
    ):
        for one, may in ((beside, is_free), (beside_it, is_free_too)):
            may.set()
            one.resume()
        await asyncio.sleep(0.2)
        await keep(replica.store, "e1", "e2")
        async with withdrawals_of(replica, port) as (withdrawals, _):
            assert await withdrawals.withdraw(S1) is Withdrawal.PENDING
        await until_none_is_under_way(redis)
        assert kinds(port) == []
        assert await beside.allow(S1)
        assert await beside_it.allow(S1)


async def test_a_withdrawal_begun_again_meanwhile_stays_under_way(
    replica: Replica, port: int, redis: Redis
) -> None:
    """What one server finishes is not taken for what another began since."""
    await keep(replica.store, "e1")
    async with withdrawals_of(replica, port) as (withdrawals, is_free):
        assert await withdrawals.withdraw(S1) is Withdrawal.PENDING
        redis.hset(UNDER_WAY, withdrawing_field(S1), "99999999999999-0")
        redis.hset(UNDER_WAY, "no session", "1-1")
        is_free.set()
        await until_done(withdrawals)
        assert redis.hlen(UNDER_WAY) == 2


async def test_what_is_damaged_holds_no_withdrawal_up(
    replica: Replica, port: int, redis: Redis
) -> None:
    """It is told and left; those beside it are finished, also when it comes first."""
    damaged = {
        withdrawing_field(key_of("s2")): "soon",
        withdrawing_field(key_of("s3")): "99999999999999999999-1",
        '["default", 4]': "1-1",
        '["default","s5"]': "1-1",
    }
    await keep(replica.store, "e1")
    async with withdrawals_of(replica, port) as (withdrawals, _):
        assert await withdrawals.withdraw(S1) is Withdrawal.PENDING
    told = redis.hget(UNDER_WAY, withdrawing_field(S1))
    redis.delete(UNDER_WAY)
    redis.hset(UNDER_WAY, mapping={**damaged, withdrawing_field(S1): told})
    with structlog.testing.capture_logs() as logs:
        async with withdrawals_of(replica, port) as (later, is_free):
            is_free.set()
            later.resume()
            for _ in range(TRIES):
                if redis.hlen(UNDER_WAY) == len(damaged):
                    break
                await asyncio.sleep(0.01)
    assert kinds(port) == []
    left: Any = redis.hkeys(UNDER_WAY)
    assert {one.decode() for one in left} == {*damaged}
    assert [one["event"] for one in logs] == ["withdrawal_unreadable"] * len(damaged)


async def test_where_calls_are_kept_no_withdrawal_stays_under_way(
    replica: Replica, port: int, redis: Redis
) -> None:
    """It is done once the log says that they do not count."""
    await keep(replica.store, "e1")
    async with withdrawals_of(replica, port, erases=False) as (withdrawals, _):
        assert await withdrawals.withdraw(S1) is Withdrawal.DONE
    assert not redis.exists(UNDER_WAY)


async def test_an_erasure_does_not_take_a_withdrawal_back(replica: Replica, port: int) -> None:
    """A late event that says nothing of consent is kept after neither."""
    await keep(replica.store, "e1")
    async with withdrawals_of(replica, port, erases=False) as (withdrawals, _):
        assert await withdrawals.withdraw(S1) is Withdrawal.DONE
        await replica.store.forget(S1)
        held = await replica.store.fetch(S1)
        assert (held.forgotten, held.withdrawn) == (True, True)


async def test_calls_are_deleted_up_to_each_sessions_last(port: int, redis: Redis) -> None:
    """By both parts of an entry's id, over pages; an empty id means all."""
    for number in range(1_200):
        row = a_row(f"s{number % 3}", kind=RowKind.BEGAN)
        flat = fields_of(row, number)
        # Ids of different lengths, which do not sort as texts.
        name = f"{8 + number // 300}-{number % 300}"
        redis.xadd(f"{PREFIX}log", dict(zip(flat[::2], flat[1::2], strict=True)), id=name)
    link = RedisLink(f"redis://127.0.0.1:{port}/0", 5.0)
    last = {"s0": "9-3", "s1": "10-100", "s9": "1-1"}
    assert await erase_calls_until(link, PREFIX, "default", last) == 102 + 234
    assert await erase_calls_until(link, PREFIX, "default", {"s2": ""}) == 400
    await link.close()

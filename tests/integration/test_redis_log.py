"""The event log on a real Redis: written with the sessions, read back, bounded, open about gaps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis import Redis

from micromoment.client import event
from micromoment.errors import InvalidDataError
from micromoment.features.state import new_state
from micromoment.recovery import fold_logged
from micromoment.scoring.bundle import LoadedBundle
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.scorer import Scorer
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.bundles import find_bundle
from micromoment.stores.interfaces import Held
from micromoment.stores.loading import load_stored_bundle
from micromoment.stores.log_rows import LoggedVisit, RowKind, score_call
from micromoment.stores.redis_keys import DEFAULT_PREFIX
from micromoment.stores.redis_log import StreamLimits, read_stream
from micromoment.v1 import log_pb2 as pb
from tests.support.log_rows import a_row
from tests.support.replicas import START, Shoppers, client_of, send, serving
from tests.support.shared_sessions import PREFIX, Replica, a_replica, key_of
from tests.support.tiny_bundle import make_tiny_store
from training.importers.log import import_log, log_source

STREAM = f"{PREFIX}log"
A_DAY = StreamLimits(86_400, 1_000_000)
# Redis lets entries go by nodes, of which one holds so many at most.
NODE = 100


@pytest.fixture
async def replica(port: int, redis: Redis) -> AsyncIterator[Replica]:
    """One server's view of sessions that are logged, on an empty Redis."""
    async with a_replica(port, log=A_DAY) as replica:
        yield replica


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one small bundle."""
    folder = tmp_path_factory.mktemp("store")
    make_tiny_store(folder)
    return folder


def logged(port: int) -> list[LoggedVisit]:
    """Read the whole log."""
    return list(read_stream(f"redis://127.0.0.1:{port}", prefix=PREFIX))


async def keep(replica: Replica, session: str, number: int) -> Held | None:
    """Write a session and log it, as its call of that number, from 1."""
    key = key_of(session)
    kind = RowKind.BEGAN if number == 1 else RowKind.WENT_ON
    held = await replica.store.fetch(key)
    entry = SessionEntry.of(new_state(), f"e{number}")
    return await replica.store.replace(key, held, entry, a_row(session, kind=kind))


async def test_the_log_of_two_servers_folds_to_their_states(
    bundles: Path, tmp_path: Path, port: int, redis: Redis
) -> None:
    """Both at the same sessions at once: folding the log gives each state and score, to the bit."""
    shoppers = Shoppers(seed=7, sessions=5)
    requests = []
    while shoppers.events < 300:
        requests.append(shoppers.request())
    waiting = iter(requests)
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(bundles, tmp_path / name, port))
            for name in ("a", "b")
        ]
        clients = [await stack.enter_async_context(client_of(one)) for one in services]

        async def work(place: int) -> None:
            for request in waiting:
                await send(clients[place % 2], request)

        await asyncio.gather(*map(work, range(8)))
        order = event("purchase", event_id="o1", order_id="o1", value="9.99", event_time=START)
        told = [await client.ingest([order], anonymous_id="s1") for client in clients]
    assert [(one.accepted, one.duplicates) for one in told] == [(1, 0), (0, 1)]
    report = import_log(log_source(f"redis://127.0.0.1:{port}"), tmp_path / "events")
    assert report.rows_kept == sum(shoppers.distinct().values()) + 1
    assert report.sessions == 5
    bundle = load_stored_bundle(find_bundle(bundles, "shop:latest"))
    folded, checked = _replayed(bundle, read_stream(f"redis://127.0.0.1:{port}"))
    assert checked == len(requests)
    async with a_replica(port, prefix=DEFAULT_PREFIX) as reader:
        for key, entry in folded.items():
            held = await reader.store.fetch(key)
            assert held.entry == entry
            assert not held.lost
    assert len(folded) == 5


def _replayed(
    bundle: LoadedBundle, visits: Iterator[LoggedVisit]
) -> tuple[dict[SessionKey, SessionEntry], int]:
    """Fold calls, and compare what each was answered."""
    scorer = Scorer(bundle, max_user_feature_age_us=1)
    entries: dict[SessionKey, SessionEntry] = {}
    checked = 0
    for visit in visits:
        assert visit.kind != RowKind.GAP
        assert (visit.kind == RowKind.BEGAN) == (visit.key not in entries)
        body = visit.call()
        call = score_call(visit, body)
        before = entries.get(visit.key)
        scored = scorer.score(call, before, lost=body.lost)
        again = scored.score
        assert again.conversion == body.score.conversion
        assert again.events_seen == body.score.events_seen
        vector = np.frombuffer(body.score.features, np.float32)
        assert not len(vector) or vector.tobytes() == again.features.tobytes()
        assert scored.entry == fold_logged(before, call, body, lost=body.lost)
        entries[visit.key] = scored.entry
        checked += 1
    return entries, checked


async def test_a_write_that_is_refused_is_not_logged(replica: Replica, redis: Redis) -> None:
    """State and log change together or not at all."""
    key = key_of("s1")
    held = await replica.store.fetch(key)
    await keep(replica, "s1", 1)
    entry = SessionEntry.of(new_state(), "late")
    assert await replica.store.replace(key, held, entry, a_row("s1")) is not None
    assert redis.xlen(STREAM) == 1
    redis.delete(STREAM)
    redis.set(STREAM, "no stream")
    score = await replica.score("s1", "e2")
    assert score.degraded == ()  # this one is not logged
    with pytest.raises(Exception, match="session store"):
        await keep(replica, "s1", 2)
    assert (await replica.store.fetch(key)).sequence == 2


async def test_what_the_log_lacks_is_a_gap(replica: Replica, port: int, redis: Redis) -> None:
    """An entry that is gone, and a beginning, are told where they are missing."""
    for number in (1, 2, 3, 4):
        for session in ("s1", "s2"):
            await keep(replica, session, number)
    entries: Any = redis.xrange(STREAM)
    ids = [entry_id for entry_id, _ in entries]
    assert [visit.kind for visit in logged(port)] == [RowKind.BEGAN] * 2 + [RowKind.WENT_ON] * 6
    redis.xdel(STREAM, ids[4], ids[1])  # the third call of s1, the first of s2
    told = [(visit.kind, visit.session_id) for visit in logged(port)]
    went, gap = RowKind.WENT_ON, RowKind.GAP
    assert told == [
        (RowKind.BEGAN, "s1"),
        (went, "s1"),
        (gap, "s2"),
        (went, "s2"),
        (went, "s2"),
        (gap, "s1"),
        (went, "s1"),
        (went, "s2"),
    ]
    places = [visit.position for visit in logged(port)]
    assert places == sorted(set(places))


async def test_a_call_that_is_not_logged_is_a_gap(
    replica: Replica, port: int, redis: Redis
) -> None:
    """A server without a log beside others that have one leaves gaps, not silence."""
    await keep(replica, "s1", 1)
    async with a_replica(port) as other:
        await other.score("s1", "theirs")
        await keep(replica, "s1", 3)
    assert [visit.kind for visit in logged(port)] == [RowKind.BEGAN, RowKind.GAP, RowKind.WENT_ON]
    assert redis.xlen(STREAM) == 2


async def test_the_log_is_bounded(port: int, redis: Redis) -> None:
    """Beyond its number of entries the oldest go, and the rest is read page by page."""
    async with a_replica(port, log=StreamLimits(86_400, 1_000)) as replica:
        for first in range(0, 3_000, 250):
            await asyncio.gather(*(keep(replica, f"s{first + n}", 1) for n in range(250)))
    assert 1_000 <= int(str(redis.xlen(STREAM))) <= 1_000 + NODE
    visits = logged(port)
    assert len(visits) == redis.xlen(STREAM)
    assert visits[-1].session_id.startswith("s2")


async def test_what_is_too_old_goes(port: int, redis: Redis) -> None:
    """Entries beyond the retention are removed as new ones come, and all when none does."""
    async with a_replica(port, log=StreamLimits(0.2, 1_000_000)) as replica:
        for number in range(3 * NODE):
            await keep(replica, f"old{number}", 1)
        redis.persist(STREAM)
        await asyncio.sleep(0.3)
        await keep(replica, "new", 1)
        assert int(str(redis.xlen(STREAM))) <= NODE
        await asyncio.sleep(0.3)
    assert not redis.exists(STREAM)


async def test_a_log_that_can_not_be_read(port: int, redis: Redis) -> None:
    """An entry of another kind and a Redis that fails are errors."""
    redis.xadd(STREAM, {"time": "1"})
    with pytest.raises(InvalidDataError, match="entry"):
        logged(port)
    with pytest.raises(InvalidDataError, match="ConnectionError") as caught:
        list(read_stream("redis://:secret@127.0.0.1:1/0"))
    assert "secret" not in str(caught.value)
    assert "at 127.0.0.1:1:" in str(caught.value)
    for url in ("redis://:sec/ret@127.0.0.1:1", "redis://sec#ret@127.0.0.1:1", "redis://[sec"):
        with pytest.raises(InvalidDataError, match="event log in Redis: ") as caught:
            list(read_stream(url))
        assert "sec" not in str(caught.value)


async def test_reports_name_entries_by_their_ids(
    replica: Replica, port: int, redis: Redis, tmp_path: Path
) -> None:
    """The first entry that a reason befell is one that `XRANGE` finds."""
    await keep(replica, "s1", 1)
    redis.xtrim(STREAM, maxlen=0, approximate=False)
    body = pb.LoggedCall(events=[event("page_view", event_id="e2")], time_zone="UTC")
    await replica.store.replace(
        key_of("s1"),
        await replica.store.fetch(key_of("s1")),
        SessionEntry.of(new_state(), "e2"),
        a_row("s1", kind=RowKind.WENT_ON)._replace(body=body.SerializeToString()),
    )
    report = import_log(log_source(f"redis://127.0.0.1:{port}", PREFIX), tmp_path / "events")
    ((entry_id, _),) = redis.xrange(STREAM)  # type: ignore[misc] # a list, not awaited
    assert [*report.examples.values()] == [f"{STREAM}:{entry_id.decode()}"]

"""Sessions on Redis as a server uses them, with a scorer that counts instead of predicting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import numpy as np

from micromoment.events.record import EventBatch
from micromoment.features.user_snapshot import UserStatus
from micromoment.scoring.calls import Score, ScoreCall, SessionKey
from micromoment.stores.redis_link import RedisLink
from micromoment.stores.redis_log import StreamLimits
from micromoment.stores.redis_sessions import RedisSessionStore
from micromoment.stores.session_file import StateFormat
from micromoment.transport.observer import NoObserver
from micromoment.transport.shared_visits import SharedVisits
from micromoment.transport.visitors import VisitCall, Visitors
from tests.support.events import an_event, to_batch
from tests.support.serving import CountingScorer, SlowUsers

PREFIX = "test:"


def key_of(name: str) -> SessionKey:
    """Name a session."""
    return SessionKey("default", name)


def a_visit(session: str, event_ids: Sequence[str], *, dry_run: bool = False) -> VisitCall:
    """Make a call of a session with these events."""
    call = ScoreCall(
        key=key_of(session),
        visitor=1,
        batch=_a_batch(len(event_ids)),
        event_ids=tuple(event_ids),
        dry_run=dry_run,
    )
    return VisitCall(call, ("u",))


@cache
def _a_batch(n_events: int) -> EventBatch:
    # The counting scorer looks at the ids alone, and making events takes milliseconds.
    return to_batch([an_event(event_id=str(number)) for number in range(n_events)])


class Replica:
    """One server's view of the shared sessions, without gRPC."""

    def __init__(self, store: RedisSessionStore) -> None:
        self.store = store
        self.scorer = CountingScorer()
        visitors = Visitors(SlowUsers(status=UserStatus.UNKNOWN), 1.0, NoObserver())
        self.visits = SharedVisits(self.scorer, store, visitors, NoObserver())

    async def score(self, session: str, *event_ids: str, dry_run: bool = False) -> Score:
        """Score these events."""
        return await self.visits.score(a_visit(session, event_ids, dry_run=dry_run))


@asynccontextmanager
async def a_replica(
    port: int,
    *,
    timeout_s: float = 0.25,
    ttl_s: float = 60.0,
    prefix: str = PREFIX,
    max_recalled: int = 1_000,
    state_format: StateFormat | None = None,
    log: StreamLimits | None = None,
) -> AsyncIterator[Replica]:
    """Open the sessions on a Redis as a server does, until the block ends."""
    link = RedisLink(f"redis://127.0.0.1:{port}/0", timeout_s)
    store = RedisSessionStore(
        link,
        prefix=prefix,
        ttl_s=ttl_s,
        max_recalled=max_recalled,
        state_format=state_format,
        log=log,
    )
    await store.warm_up()
    try:
        yield Replica(store)
    finally:
        await store.close()


def another_dtype() -> np.dtype[Any]:
    """Make a state type that is not this code's."""
    return np.dtype([("something", "i8"), ("else", "f8")])

"""C6 as a state machine: any order of calls at two replicas is a sequence of calls at one."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from micromoment.client import Client, event, item, score_request
from micromoment.v1 import events_pb2
from micromoment.v1 import scoring_pb2 as pb
from tests.promises.conftest import Form
from tests.support.feature_stores import a_redis
from tests.support.replicas import KINDS, START, comparable, serving

REPLICAS = st.integers(0, 1)
PLACES = st.lists(st.integers(0, 10_000), min_size=1, max_size=3)
SESSIONS = itertools.count()


@dataclass
class Shop:
    """Two replicas that share sessions, and a server of its own that hears one call at a time."""

    replicas: list[Client]
    alone: Client
    events: int = 0
    most: int = 0


class OneVisit(RuleBasedStateMachine):
    """One visit's calls, at either replica or at both at once, with events that come again."""

    shop: Shop

    def __init__(self) -> None:
        super().__init__()
        self.session = f"visit-{next(SESSIONS)}"
        self.sent: list[events_pb2.Event] = []

    @rule(replica=REPLICAS, count=st.integers(1, 4))
    def new_events(self, replica: int, count: int) -> None:
        """Events that nobody has seen."""
        self._agree(self._ask(replica, self._new(count)))

    @precondition(lambda self: self.sent)
    @rule(replica=REPLICAS, places=PLACES, count=st.integers(0, 2))
    def again(self, replica: int, places: list[int], count: int) -> None:
        """Events that came before, as a retry sends them, then new ones."""
        old = [self.sent[-1 - place % min(len(self.sent), 100)] for place in places]
        self._agree(self._ask(replica, [*old, *self._new(count)]))

    @rule(counts=st.tuples(st.integers(1, 3), st.integers(1, 3)))
    def at_once(self, counts: tuple[int, int]) -> None:
        """Both replicas get new events at the same time: one of them comes first."""
        both = [self._new(count) for count in counts]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(self._ask, (0, 1), both))
        for answer in sorted(answers, key=lambda one: one[1].events_seen):
            self._agree(answer)

    @precondition(lambda self: self.sent)
    @rule(counts=st.integers(1, 3))
    def the_same_at_once(self, counts: int) -> None:
        """Both replicas get the same new events at the same time: they count once."""
        events = self._new(counts)
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(self._ask, (0, 1), (events, events)))
        for answer in sorted(answers, key=lambda one: one[1].duplicates):
            self._agree(answer)

    @precondition(lambda self: self.sent)
    @rule()
    def both_know_all(self) -> None:
        """Each replica has seen every event once."""
        for client in self.shop.replicas:
            seen = client.get_session(self.session)
            assert seen.scores.events_seen == len(self.sent)
            assert list(seen.scores.degraded) == []

    def teardown(self) -> None:
        """Count."""
        self.shop.events += len(self.sent)
        self.shop.most = max(self.shop.most, len(self.sent))

    def _new(self, count: int) -> list[events_pb2.Event]:
        events = [
            event(
                KINDS[number % len(KINDS)],
                event_id=f"{self.session}/{number}",
                event_time=START + timedelta(seconds=7 * number),
                items=[item(f"sku{number % 30}", price="9.99", quantity=1)],
                page=f"/{number % 20}",
            )
            for number in range(len(self.sent), len(self.sent) + count)
        ]
        self.sent += events
        return events

    def _ask(
        self, replica: int, events: list[events_pb2.Event]
    ) -> tuple[list[events_pb2.Event], pb.ScoreResponse]:
        return events, self._score(self.shop.replicas[replica], events)

    def _agree(self, asked: tuple[list[events_pb2.Event], pb.ScoreResponse]) -> None:
        events, answer = asked
        assert comparable(answer) == comparable(self._score(self.shop.alone, events))

    def _score(self, client: Client, events: list[events_pb2.Event]) -> pb.ScoreResponse:
        request = score_request(
            self.session, events, anonymous_id=self.session, include_features=True
        )
        (result,) = client.batch_score([request])
        assert result.HasField("response"), result
        return result.response


@pytest.fixture
def shop(store: Path, tmp_path: Path) -> Iterator[Shop]:
    """Three servers in a thread of their own."""
    with a_redis(tmp_path) as (_, port), a_loop() as run:
        stack = AsyncExitStack()
        ports = [
            run(stack.enter_async_context(serving(store, tmp_path / name, redis))).port
            for name, redis in (("a", port), ("b", port), ("alone", None))
        ]
        a, b, alone = (Client(f"127.0.0.1:{one}", deadline_s=60.0) for one in ports)
        yield Shop([a, b], alone)
        for client in (a, b, alone):
            client.close()
        run(stack.aclose())


@contextmanager
def a_loop() -> Iterator[Callable[..., Any]]:
    """Run an event loop in a thread; gives what runs a coroutine in it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_c6_any_order_of_calls_is_a_sequence(
    shop: Shop, form: Form, reached: Callable[[str, str], None]
) -> None:
    """Two replicas, one session, 1,000 interleaved events with duplicates.

    None lost, none counted twice, score equals the sequential model.
    """
    machine = type("OneVisit", (OneVisit,), {"shop": shop})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=form(4, 8),
            stateful_step_count=form(25, 700),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert shop.most > form(20, 500)
    reached("C6", f"any order: {shop.events:,} events, up to {shop.most:,} in one visit, all agree")

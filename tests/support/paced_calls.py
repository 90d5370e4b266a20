"""Calls at a constant rate, whether or not answers come, and what became of each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

OK = "OK"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One call: when it was due and when it ended, in seconds of the monotonic clock; its code."""

    due_s: float
    ended_s: float
    code: str

    @property
    def seconds(self) -> float:
        """How long the caller waited, from when the call was due."""
        return self.ended_s - self.due_s


@dataclass
class PacedCalls:
    """What became of the calls so far."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failed(self) -> list[Outcome]:
        """Those that were not answered."""
        return [one for one in self.outcomes if one.code != OK]

    @property
    def codes(self) -> Counter[str]:
        """How often each code came."""
        return Counter(one.code for one in self.outcomes)

    def between(self, first_s: float, last_s: float) -> list[Outcome]:
        """Give the calls that were due in a span of the monotonic clock."""
        return [one for one in self.outcomes if first_s <= one.due_s < last_s]


@asynccontextmanager
async def paced(call: Callable[[int], Awaitable[object]], rate: float) -> AsyncIterator[PacedCalls]:
    """Make call after call, numbered, `rate` a second, until the block ends; waits for them all.

    A call whose turn has passed is made at once: its wait counts. Only errors of gRPC are outcomes.
    """
    calls, ends = PacedCalls(), asyncio.Event()
    pacing = asyncio.create_task(_pace(call, rate, calls, ends))
    try:
        yield calls
    finally:
        ends.set()
        await pacing


async def _pace(
    call: Callable[[int], Awaitable[object]], rate: float, calls: PacedCalls, ends: asyncio.Event
) -> None:
    started, number = time.monotonic(), 0
    async with asyncio.TaskGroup() as group:
        while not ends.is_set():
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            group.create_task(_timed(call, number, due, calls))
            number += 1


async def _timed(
    call: Callable[[int], Awaitable[object]], number: int, due: float, calls: PacedCalls
) -> None:
    code = OK
    try:
        await call(number)
    except grpc.RpcError as error:
        code = error.code().name
    calls.outcomes.append(Outcome(due, time.monotonic(), code))


def p99(seconds: Iterable[float]) -> float:
    """Give the 99th percentile: of a hundred, the second longest."""
    ordered = sorted(seconds)
    return ordered[max(0, int(len(ordered) * 0.99) - 1)]

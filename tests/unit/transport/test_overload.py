"""The watch over what waits, and over a loop that stands still."""

from __future__ import annotations

import asyncio
import time

from micromoment.transport.overload import OverloadWatch
from micromoment.transport.shedding import Shedding


class Queue:
    """Counts arrivals as gRPC's core would."""

    def __init__(self) -> None:
        self.arrived = 0
        self.asked = 0

    def count(self) -> int:
        """Give the number so far."""
        self.asked += 1
        return self.arrived


def a_watch(queue: Queue) -> OverloadWatch:
    """Watch a queue."""
    return OverloadWatch(Shedding(0.02, 64), queue.count)


async def test_more_arrivals_than_calls_taken_switch_refusing_on() -> None:
    """It takes a few periods of a tenth of a second."""
    queue = Queue()
    watch = a_watch(queue)
    watch.start()
    for _ in range(50):
        queue.arrived += 40
        watch.take()
        await asyncio.sleep(0.01)
    watch.stop()
    assert watch.shedding.is_on


async def test_a_server_without_calls_measures_nothing() -> None:
    """Reading the number of arrivals takes time that nobody needs to spend at night."""
    queue = Queue()
    watch = a_watch(queue)
    watch.start()
    await asyncio.sleep(0.35)
    watch.stop()
    assert queue.asked == 0


async def test_the_first_call_after_a_standstill_may_have_come_in_it() -> None:
    """The ones after it came when they were taken, and so does a call of a loop that turns."""
    watch = a_watch(Queue())
    watch.start()
    await asyncio.sleep(0.15)
    begun = time.perf_counter()
    time.sleep(0.5)  # noqa: ASYNC251 - it is what stands still
    first, second = watch.take(), watch.take()
    watch.stop()
    assert first <= begun
    assert second >= begun + 0.5


async def test_a_standstill_that_nobody_waited_for_is_forgotten() -> None:
    """A call long after it is not taken for an old one."""
    watch = a_watch(Queue())
    watch.start()
    await asyncio.sleep(0.15)
    time.sleep(0.5)  # noqa: ASYNC251 - it is what stands still
    await asyncio.sleep(0.35)
    now = time.perf_counter()
    came = watch.take()
    watch.stop()
    assert came >= now

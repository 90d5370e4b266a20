"""Watches how many calls wait, and whether the loop turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final

from micromoment.background import in_background
from micromoment.transport.shedding import Shedding

_PERIOD_S: Final = 0.1


class OverloadWatch:
    """Measures once in a period, and tells how long a call that is taken now may have waited.

    `arrived` counts the calls that reached gRPC.
    """

    def __init__(self, shedding: Shedding, arrived: Callable[[], int]) -> None:
        self.shedding = shedding
        self.taken = 0
        self._arrived = arrived
        self._measured: tuple[float, int, int] | None = None
        self._turned = perf_counter()
        self._was_late = False
        self._seen = 0
        self._task: asyncio.Task[None] | None = None

    def take(self) -> float:
        """Count a call that gRPC hands over; give when it came at the earliest, by perf_counter.

        That is now, but for the first call after the loop stood still: it may have come meanwhile.
        """
        self.taken += 1
        now = perf_counter()
        turned = self._turned
        if now - turned <= 2 * _PERIOD_S:
            return now
        self._turned = now
        return turned

    def start(self) -> None:
        """Watch from now on, in a task of the running loop."""
        self._turned = perf_counter()
        self._task = in_background(self._run(), "overload-watch")

    def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD_S)
            self._turn(perf_counter())
            self._measure(perf_counter())

    def _turn(self, now: float) -> None:
        late = now - self._turned > 2 * _PERIOD_S
        # A late turn is left to the call that it kept waiting, which is next if there is one.
        if not late or self._was_late:
            self._turned = now
        self._was_late = late and not self._was_late

    def _measure(self, now: float) -> None:
        before, taken = self._measured, self.taken
        if taken == self._seen and not self.shedding.is_on:
            self._measured = None
            self.shedding.measured(0, 0, _PERIOD_S)
            return
        self._seen = taken
        arrived = self._arrived()
        self._measured = (now, arrived, taken)
        if before is not None:
            self.shedding.measured(arrived - before[1], taken - before[2], now - before[0])

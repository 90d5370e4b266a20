"""A server under constant load, and whether its memory, files and threads grow with the calls."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np
import psutil

from micromoment.client import AsyncClient, event, item

_SAMPLE_S = 0.25
_IN_FLIGHT = 8
_EVENTS = 20
# What is made on first use, and caches that fill, are there after this share of the time.
_SETTLED = 1 / 2


@dataclass(frozen=True, slots=True)
class Sample:
    """A look at the process: seconds and calls since the beginning, bytes, counts."""

    seconds: float
    calls: int
    rss: int
    files: int
    threads: int


@dataclass(frozen=True)
class Growth:
    """What a soak found in its second half; slopes by least squares.

    Files and threads are the least numbers in its first and in its last half: what is opened for a
    moment is no leak.
    """

    calls: int
    bytes_per_call: float
    bytes_per_second: float
    files: tuple[int, int]
    threads: tuple[int, int]

    def __str__(self) -> str:
        """Tell it in one line."""
        return (
            f"RSS {self.bytes_per_call:+.1f} B a call, {self.bytes_per_second * 600 / 1e6:+.2f} MB "
            f"in 10 min, over {self.calls:,} calls; "
            f"{self.files[0]} then {self.files[1]} files, "
            f"{self.threads[0]} then {self.threads[1]} threads"
        )


def growth(samples: list[Sample]) -> Growth:
    """Sum up a soak."""
    kept = [one for one in samples if one.seconds >= samples[-1].seconds * _SETTLED]
    rss = np.array([one.rss for one in kept], float)
    calls = np.array([one.calls for one in kept], float)
    seconds = np.array([one.seconds for one in kept], float)
    halves = kept[: len(kept) // 2], kept[len(kept) // 2 :]
    return Growth(
        kept[-1].calls - kept[0].calls,
        float(np.polyfit(calls, rss, 1)[0]),
        float(np.polyfit(seconds, rss, 1)[0]),
        (min(one.files for one in halves[0]), min(one.files for one in halves[1])),
        (min(one.threads for one in halves[0]), min(one.threads for one in halves[1])),
    )


def faults(found: Growth, bytes_per_call: float, bytes_per_second: float) -> list[str]:
    """Judge it by limits, either of which may be infinite; an empty list is what is promised."""
    wrong = []
    if found.bytes_per_call >= bytes_per_call or found.bytes_per_second >= bytes_per_second:
        wrong.append(f"memory grows: {found}")
    if found.files[0] != found.files[1]:
        wrong.append(f"open files change: {found}")
    if found.threads[0] != found.threads[1]:
        wrong.append(f"threads change: {found}")
    return wrong


async def soak(address: str, pid: int, seconds: float, pause_s: float = 0.0) -> list[Sample]:
    """Score visits of 20 events, some with reasons and features, and look at the server.

    Eight callers each wait `pause_s` between two calls.
    """
    process, calls = psutil.Process(pid), 0
    started = time.monotonic()
    samples = []

    async def play(client: AsyncClient, player: int) -> None:
        nonlocal calls
        number = 0
        while time.monotonic() < started + seconds:
            visit = f"{player}-{number // _EVENTS}"
            one = event(
                ("page_view", "item_view", "cart_add")[number % 3],
                event_id=f"e{number}",
                items=[item(f"sku-{number % 50}", price="19.99", quantity=1)],
                page=f"/p/{number % 20}",
            )
            await client.score(
                visit,
                [one],
                anonymous_id=visit,
                explain=number % 10 == 0,
                include_features=number % 10 == 1,
            )
            number += 1
            calls += 1
            await asyncio.sleep(pause_s)

    async with AsyncClient(address, deadline_s=30) as client, asyncio.TaskGroup() as group:
        for player in range(_IN_FLIGHT):
            group.create_task(play(client, player))
        while time.monotonic() < started + seconds:
            await asyncio.sleep(max(_SAMPLE_S, seconds / 2_000))
            now, rss = time.monotonic() - started, process.memory_info().rss
            samples.append(Sample(now, calls, rss, process.num_fds(), process.num_threads()))
    return samples

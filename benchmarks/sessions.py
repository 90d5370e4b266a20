"""What sessions in memory take, and the longest that reading or keeping one takes.

    python -m benchmarks.sessions --sessions 1000000

fills a store, half of the sessions with a second call, then goes on with as many steps: a crawler's
new session, then a call of a known one. Ids have 36 characters, each call makes a state of its own,
and buffers of other sizes come and go between the calls, as those of a server do. Times are CPU
times of the thread, so that what else runs on the machine doesn't count; memory is the process's.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import psutil

from micromoment.features.state import new_state
from micromoment.scoring.calls import SessionKey
from micromoment.scoring.sessions import SessionEntry
from micromoment.stores.sessions import MemorySessionStore

_TTL_S: Final = 7_200.0
_LARGEST_BUFFER: Final = 8_192
_SPREAD: Final = 0x9E3779B97F4A7C15  # odd, so that numbers and ids are one to one


class Traffic:
    """Calls to a store, each timed; `kind` is get or put."""

    def __init__(self) -> None:
        self.store = MemorySessionStore(1, _TTL_S)
        self._state = new_state()
        self._random = random.Random(7)
        self._buffers = [bytes(size) for size in range(0, _LARGEST_BUFFER, 4)]
        self.times = {"get": array("q"), "put": array("q")}

    def call(self, number: int) -> bool:
        """Read session `number` and keep it with one event more; tells whether it was known."""
        key = SessionKey("default", an_id(number))
        entry = self._timed("get", lambda: self.store.get(key))
        self._state[0]["events_seen"] += 1
        kept = SessionEntry.of(self._state, an_id(~number))
        self._timed("put", lambda: self.store.put(key, kept))
        size = self._random.randrange(_LARGEST_BUFFER)
        self._buffers[self._random.randrange(len(self._buffers))] = bytes(size)
        return entry is not None

    def _timed(self, kind: str, work: Callable[[], SessionEntry | None]) -> SessionEntry | None:
        started = time.thread_time_ns()
        found = work()
        self.times[kind].append(time.thread_time_ns() - started)
        return found


def main() -> None:
    """Fill, go on, print what it took."""
    parser = argparse.ArgumentParser(description="Memory and pauses of the session store.")
    parser.add_argument("--sessions", type=int, default=100_000, help="as many as the store holds")
    parser.add_argument("--seconds", type=float, default=120.0, help="longest time for each part")
    arguments = parser.parse_args()
    traffic = Traffic()
    print(f"a full garbage collection before: {_collection_ms():.1f} ms")
    before = _rss()
    traffic.store = MemorySessionStore(arguments.sessions, _TTL_S)
    parts = {
        "filling": _filling(traffic, arguments.sessions),
        "evicting": _evicting(traffic, arguments.sessions),
    }
    for name, part in parts.items():
        _run(part, arguments.seconds)
        _print(name, traffic, _rss() - before)
    print(f"a full garbage collection now: {_collection_ms():.1f} ms")


def an_id(number: int) -> str:
    """Make an id of 36 characters."""
    digits = f"{number * _SPREAD % (1 << 128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _filling(traffic: Traffic, sessions: int) -> Iterator[None]:
    for number in range(sessions):
        traffic.call(number)
        if number % 2:
            traffic.call(number)
        yield


def _evicting(traffic: Traffic, sessions: int) -> Iterator[None]:
    chance = random.Random(8)
    known = 0
    for step in range(sessions):
        traffic.call(sessions + step)
        visit = chance.randrange(sessions // 2) * 2 + 1
        known += traffic.call(visit)
        yield
    print(f"of {sessions:,} further calls of visits under way {known:,} were known")


def _run(part: Iterator[None], seconds: float) -> None:
    until = time.monotonic() + seconds
    for _ in part:
        if time.monotonic() > until:
            print(f"stopped after {seconds:.0f} s")
            return


def _print(name: str, traffic: Traffic, rss: int) -> None:
    store = traffic.store
    taken = rss - sum(times.itemsize * len(times) for times in traffic.times.values())
    for kind, times in traffic.times.items():
        p50, p9999, longest = np.quantile(np.frombuffer(times, np.int64), [0.5, 0.9999, 1]) / 1e3
        print(
            f"{name}, {kind}: {len(times):,} calls, p50 {p50:.2f} us, p99.99 {p9999:.0f} us, "
            f"max {longest:.0f} us"
        )
        traffic.times[kind] = array("q")
    sessions = len(store)
    print(
        f"{name}: {sessions:,} sessions in {taken / 1e6:,.0f} MB, {taken / sessions:,.0f} B each; "
        f"gone: { ({why.value: gone for why, gone in store.evictions.items() if gone}) }"
    )


def _collection_ms() -> float:
    started = time.thread_time_ns()
    gc.collect()
    return (time.thread_time_ns() - started) / 1e6


def _rss() -> int:
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()

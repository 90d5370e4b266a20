"""Visits' calls at a server, one after the other in a few threads, each remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc
import numpy as np

from micromoment.client import Client
from micromoment.v1 import scoring_pb2 as pb
from tests.support.recovery import an_event

ANSWER_S = 10.0


class Call(NamedTuple):
    """When a call ended (`time.monotonic`), how long it took in seconds, and what was said."""

    ended: float
    seconds: float
    degraded: Sequence[int] | None  # None: it failed


@dataclass
class Load:
    """Calls that were made so far."""

    calls: list[Call] = field(default_factory=list)

    def between(self, first: float, last: float) -> list[Call]:
        """Give the calls that began and ended in a time."""
        return [one for one in self.calls if first <= one.ended - one.seconds and one.ended < last]

    def await_call(
        self, after: float, *, without: pb.DegradedReason.ValueType, timeout_s: float
    ) -> float:
        """Wait for an answer that lacks a reason; give the seconds from `after` to its end."""
        while time.monotonic() - after < timeout_s:
            for one in reversed(self.calls):
                if one.ended - one.seconds < after:
                    break
                if one.degraded is not None and without not in one.degraded:
                    return one.ended - after
            time.sleep(0.01)
        raise AssertionError(f"every answer lacks something after {timeout_s} s")


def p99(calls: Sequence[Call]) -> float:
    """Give the 99th percentile of the calls' times, in milliseconds.

    It is that of each half second, and of those the middle one: what else the machine did for a
    moment is no matter.
    """
    parts: dict[int, list[float]] = {}
    for one in calls:
        parts.setdefault(int(2 * one.ended), []).append(one.seconds)
    each = [float(np.percentile(part, 99)) for part in parts.values()]
    return float(np.median(each)) * 1e3


@contextmanager
def load_on(port: int, *, threads: int = 4, visits: int = 50) -> Iterator[Load]:
    """Call a server until the block ends."""
    load, stop = Load(), threading.Event()

    def call(thread: int) -> None:
        with Client(f"127.0.0.1:{port}", deadline_s=ANSWER_S) as client:
            client.wait_until_ready(ANSWER_S)
            number = 0
            while not stop.is_set():
                visit = number % visits
                one = an_event(10 * visit + 1, number // visits)
                began = time.monotonic()
                try:
                    reply = client.score(f"{thread}-{visit}", [one])
                    said: Sequence[int] | None = tuple(reply.degraded)
                except grpc.RpcError:
                    said = None
                ended = time.monotonic()
                load.calls.append(Call(ended, ended - began, said))
                number += 1

    workers = [threading.Thread(target=call, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield load
    finally:
        stop.set()
        for worker in workers:
            worker.join(30)

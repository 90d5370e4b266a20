"""Two replicas under load, of which one after the other is stopped or killed and started again."""

from __future__ import annotations

import asyncio
import re
import signal
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from micromoment.client import AsyncClient, event
from tests.support.paced_calls import Outcome, PacedCalls, paced
from tests.support.server_process import SERVE, START_S, Server, Start

_CALLS = re.compile(r'micromoment_call_seconds_count\{code="OK",method="Score"\} (\S+)')


@dataclass(frozen=True)
class End:
    """One end of a process: from the signal on, in seconds of the monotonic clock."""

    signalled_s: float
    ended_s: float
    status: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended_s - self.signalled_s


@dataclass(frozen=True)
class Restarts:
    """What became of the calls, and of the processes."""

    calls: PacedCalls
    ends: list[End]


class Replicas:
    """Servers on ports of their own, and those that others have started."""

    def __init__(
        self,
        start: Start,
        command: Sequence[str] = SERVE,
        *,
        beside: Sequence[str] = (),
        **settings: str,
    ) -> None:
        self._start = start
        self._command = command
        # On a busy machine many calls are under way at once; to refuse some is another promise.
        self._settings = {
            "metrics_port": "0",
            "max_concurrent": "1000",
            "max_waiting": "10000",
            "max_wait": "30",
            **settings,
        }
        self._addresses = list(beside)
        self._ports: list[int] = []
        self.servers: list[Server] = []

    @property
    def target(self) -> str:
        """What a client of all connects to."""
        return "ipv4:" + ",".join(self._addresses)

    async def begin(self) -> None:
        """Start as many as it takes to have two."""
        self.servers = [self._start_one("0") for _ in range(2 - len(self._addresses))]
        self._ports = [(await self._serving(server))["port"] for server in self.servers]
        self._addresses += [f"127.0.0.1:{port}" for port in self._ports]

    async def end(self, place: int, number: signal.Signals) -> End:
        """Send one of them a signal and wait for its end."""
        server, signalled = self.servers[place], time.monotonic()
        server.process.send_signal(number)
        status, _ = await asyncio.to_thread(server.end, 30)
        return End(signalled, time.monotonic(), status)

    async def begin_again(self, place: int) -> None:
        """Start one anew on its old port and wait until calls reach it."""
        server = self.servers[place] = self._start_one(str(self._ports[place]))
        metrics_port = (await self._serving(server))["metrics_port"]
        async with asyncio.timeout(START_S):
            while await asyncio.to_thread(calls_answered, metrics_port) < 1:  # noqa: ASYNC110 - as metrics tell
                await asyncio.sleep(0.05)

    def _start_one(self, port: str) -> Server:
        return self._start(self._command, **self._settings, port=port)

    async def _serving(self, server: Server) -> dict[str, int]:
        return await asyncio.to_thread(server.await_event, "serving")


def calls_answered(metrics_port: int) -> float:
    """Ask a server how many calls of Score it has answered."""
    found = _CALLS.search(scrape(metrics_port))
    return float(found[1]) if found else 0.0


def scrape(metrics_port: int) -> str:
    """Read a server's metrics."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10) as reply:
        return str(reply.read().decode())


async def restarted(replicas: Replicas, rounds: int, rate: float) -> Restarts:
    """Stop one after the other by SIGTERM, under load of a client that watches health."""
    await replicas.begin()
    async with AsyncClient(replicas.target, deadline_s=10) as client:
        assert await client.wait_until_ready(START_S)
        ends = []
        async with paced(scoring(client), rate) as calls:
            await asyncio.sleep(0.5)
            for number in range(rounds):
                ends.append(await replicas.end(number % 2, signal.SIGTERM))
                if number + 1 < rounds:
                    await replicas.begin_again(number % 2)
            await asyncio.sleep(0.2)
    return Restarts(calls, ends)


def scoring(client: AsyncClient) -> Callable[[int], Awaitable[object]]:
    """Give what scores the first page of a visit, of another one each time."""

    def call(number: int) -> Awaitable[object]:
        return client.score(f"s{number}", [event("page_view")], anonymous_id=f"v{number}")

    return call


def faults(restarts: Restarts, grace_s: float) -> list[str]:
    """Judge restarts by SIGTERM; an empty list is what is promised."""
    found = []
    if failed := restarts.calls.failed:
        found.append(f"{len(failed)} calls failed: {dict(restarts.calls.codes)}")
    for number, end in enumerate(restarts.ends):
        if end.status != 0:
            found.append(f"end {number}: status {end.status}")
        if end.seconds > grace_s + 1:
            found.append(f"end {number}: {end.seconds:.1f} s, more than the grace and 1 s")
        if not restarts.calls.between(end.signalled_s, end.ended_s):
            found.append(f"end {number}: no call came meanwhile, so that nothing is shown")
    return found


def outside(failed: Sequence[Outcome], ends: Sequence[End], spare_s: float) -> list[Outcome]:
    """Give the failed calls that were not in flight when a process was killed.

    The system closes its connections while it ends; `spare_s` later the client knows.
    """
    return [
        one
        for one in failed
        if not any(
            one.due_s <= end.ended_s + spare_s and one.ended_s >= end.signalled_s for end in ends
        )
    ]
